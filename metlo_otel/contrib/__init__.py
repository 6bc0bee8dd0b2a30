"""OpenTelemetry's own instrumentations, run for one app that has none: TRACING="instrument"."""
