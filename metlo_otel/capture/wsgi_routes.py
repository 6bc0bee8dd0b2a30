"""The route template of a WSGI request, from what frameworks put into its environ, without importing any."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from metlo_otel.core.request import Request

_BOTTLES = re.compile(r"<([A-Za-z_]\w*)(?:(:path)|:[^<>]*)?>")  # Bottle has its converters behind the name


def wsgi_route(environ: Mapping[str, Any], request: Request) -> str | None:
    """The route of `request` as Bottle or Flask has found it, wherever that is mounted; None where nothing tells."""
    route = _route(environ)
    own = str(environ.get("PATH_INFO") or "/").encode("latin-1", "replace").decode("utf-8", "replace")
    return None if route is None else mounted(route, own, request)


def _route(environ: Mapping[str, Any]) -> str | None:
    told = environ.get("path_template")  # by the app itself, as Litestar does in its scope
    if isinstance(told, str) and told:
        return told
    bottles = getattr(environ.get("bottle.route"), "rule", None)
    if isinstance(bottles, str):
        return _BOTTLES.sub(r"{\1\2}", bottles)
    flasks = getattr(getattr(environ.get("werkzeug.request"), "url_rule", None), "rule", None)
    return flasks if isinstance(flasks, str) else None


def mounted(route: str, own: str, request: Request) -> str:
    """`route`, which matches `own`, with what stands before that in the request's path: where the app is mounted."""
    whole = request.path
    if own == "/" and route == "/" and not whole.endswith("/"):
        return whole  # the mount's own path
    return whole.removesuffix(own) + route if whole != own and whole.endswith(own) else route
