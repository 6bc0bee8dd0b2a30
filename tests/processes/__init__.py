"""The agent in processes of every kind: how they start, fork and end."""
