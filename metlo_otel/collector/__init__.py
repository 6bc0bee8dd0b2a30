"""The embedded collector: HTTP API, store and dashboard."""
