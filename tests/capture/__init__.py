"""The captures and tees by themselves."""
