"""Zero code: what `opentelemetry-instrument` calls before it instruments. Imports nothing unless METLO_* is set."""

from __future__ import annotations

import os
import sys


def pre_instrument() -> None:
    """Do as metlo_otel.instrument() where METLO_HOST and METLO_API_KEY are set, or METLO_EXPORT; never raises.

    An exception here would end the whole auto-instrumentation, so what goes wrong is said on stderr, once.
    """
    host, key = os.environ.get("METLO_HOST"), os.environ.get("METLO_API_KEY") or os.environ.get("METLO_KEY")
    if not host and not key and not os.environ.get("METLO_EXPORT"):
        return
    try:
        from metlo_otel import instrument

        instrument()
    except Exception as problem:  # noqa: BLE001 - the app's tracing must not fall with us
        kind = "" if isinstance(problem, ImportError | ValueError) else f"{type(problem).__name__}: "
        sys.stderr.write(f"metlo_otel: zero code cannot start, nothing is captured or blocked: {kind}{problem}\n")
