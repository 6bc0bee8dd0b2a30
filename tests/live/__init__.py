"""The agent on real servers, where chunking, forks and disconnects exist."""
