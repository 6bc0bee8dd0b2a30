"""OTLP out: findings as log records, requests as spans and counts as metrics, by OpenTelemetry's own exporters."""
