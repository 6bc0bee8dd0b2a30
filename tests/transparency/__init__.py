"""The frameworks' own test-suites, run with the agent in every app: each test must end as it does without."""
