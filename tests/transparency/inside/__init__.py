"""What runs within a framework's own test-suite: the agent put into its apps, and what became of each test."""
