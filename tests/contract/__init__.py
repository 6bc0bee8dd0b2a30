"""One set of promises, kept on every way in."""
