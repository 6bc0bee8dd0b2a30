"""`metlo-otel demo`: a sample shop, its visitors, and what a collector sees of them."""
