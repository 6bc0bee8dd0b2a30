"""Which role a request needs: what is not named here is for admins alone, if it changes anything."""

from __future__ import annotations

from metlo_otel.collector.accounts import ADMIN, ANALYST, VIEWER

_READING = ("GET", "HEAD", "OPTIONS")
_ADMINS = ("/dashboard/settings", "/dashboard/users", "/dashboard/notifications", "/dashboard/audit")
_ONES_OWN = ("/dashboard/account", "/dashboard/logout", "/dashboard/theme", "/dashboard/zone")
_ANALYSTS = tuple(f"/dashboard/{name}" for name in ("rules", "alerts", "specs", "hosts", "traces", "views"))


def needed_role(method: str, path: str) -> str:
    """The least role that may make a request."""
    if _is_below(path, _ONES_OWN):
        return VIEWER
    if _is_below(path, _ADMINS):
        return ADMIN
    if method in _READING:
        return VIEWER
    return ANALYST if _is_below(path, _ANALYSTS) else ADMIN


def _is_below(path: str, pages: tuple[str, ...]) -> bool:
    return any(path == page or path.startswith(page + "/") for page in pages)
