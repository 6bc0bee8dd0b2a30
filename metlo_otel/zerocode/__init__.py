"""The agent in apps that do not know of it: put there as the frameworks make their apps."""
