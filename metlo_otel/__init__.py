"""The API security agent for Python web apps, built on OpenTelemetry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from metlo_otel.core.current import set_user
from metlo_otel.core.options import Options
from metlo_otel.core.version import __version__

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Options", "__version__", "block_user", "instrument", "set_user", "unblock_user"]


def block_user(user: str, seconds: float) -> None:
    """Reject every request of `user` in this process for `seconds`: for an app's own logic, a log-in failed too often.

    Users are those of GET_USER. Raises ValueError for what is no user or no time.
    """
    from metlo_otel import agent

    agent.block_user(user, seconds)


def unblock_user(user: str) -> bool:
    """Let `user` pass again; whether they were blocked."""
    from metlo_otel import agent

    return agent.unblock_user(user)


def instrument(host: str | None = None, api_key: str | None = None, **options: Unpack[Options]) -> None:
    """Serve every Flask, Django, FastAPI and Starlette app made from now on with the agent, without a line in the app.

    Options are the settings in upper or lower case, METLO_<NAME> counts for what is not given. Raises SettingsError.
    An app that has Metlo's middleware already is left alone; to call this again changes nothing.
    """
    from metlo_otel.zerocode.install import install

    install({"metlo_host": host, "api_key": api_key, **options})
