"""`metlo.flask.MetloFlask`, as documented."""

from metlo_otel.flask import MetloFlask

__all__ = ["MetloFlask"]
