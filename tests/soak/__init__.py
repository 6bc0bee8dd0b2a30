"""Real servers under load while their collector goes through every fault."""
