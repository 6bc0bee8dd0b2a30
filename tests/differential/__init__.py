"""What the app understood, the rules and the detector must have seen."""
