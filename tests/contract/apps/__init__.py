"""The app under test, told once per framework with the same routes."""
