"""Apps that answer with what they understood of a request."""
