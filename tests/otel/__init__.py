"""The agent beside OpenTelemetry: every set-up of it, every framework, every way of having both."""
