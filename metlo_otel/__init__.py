"""The API security agent for Python web apps, built on OpenTelemetry."""

from typing import Any

from metlo_otel.core.current import set_user

__all__ = ["__version__", "instrument", "set_user"]
__version__ = "0.1.0"


def instrument(host: str | None = None, api_key: str | None = None, **options: Any) -> None:
    """Serve every Flask, Django, FastAPI and Starlette app made from now on with the agent, without a line in the app.

    Options are the settings in upper or lower case, METLO_<NAME> counts for what is not given. Raises SettingsError.
    An app that has Metlo's middleware already is left alone; to call this again changes nothing.
    """
    from metlo_otel.zerocode.install import install

    install({"metlo_host": host, "api_key": api_key, **options})
