"""OTLP taken in: spans of any OpenTelemetry SDK as requests of the inventory, and who calls whom."""
