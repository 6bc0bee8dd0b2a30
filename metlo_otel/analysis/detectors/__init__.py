"""One module for each family of attacks; each reads a decoded text and says what it found."""
