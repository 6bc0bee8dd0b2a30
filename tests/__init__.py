"""The tests of metlo_otel."""
