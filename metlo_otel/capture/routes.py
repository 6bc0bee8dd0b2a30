"""The route template of a Starlette or FastAPI request, read from its scope without importing either."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_BELOW_A_MOUNT = "/{path}"


def starlette_route(scope: Mapping[str, Any]) -> str | None:
    """`/users/{id}` with the prefix of a mount; None for other frameworks and for paths without a route.

    Starlette 1 and FastAPI put the route into the scope, FastAPI with included routers its whole path beside it;
    older ones leave only the endpoint, whose route is looked for.
    """
    own = scope.get("fastapi")  # where FastAPI keeps what an included router's prefix makes of a route
    path = _path(own.get("effective_route_context")) if type(own) is dict else None
    route = scope.get("route")
    path = path or _path(route) or _of_endpoint(scope)
    prefix = path and _mount(scope)
    if prefix and path == _path(route) and not hasattr(route, "endpoint"):
        path = _BELOW_A_MOUNT  # of files, or of an app without routes: the mount's own path ends the prefix already
    return prefix + path if prefix and path else path


def _path(route: Any) -> str | None:
    path = getattr(route, "path_format", None) or getattr(route, "path", None)
    return path if isinstance(path, str) else None


def _of_endpoint(scope: Mapping[str, Any]) -> str | None:
    endpoint = scope.get("endpoint")
    if endpoint is None:
        return None
    root, path = scope.get("root_path") or "", scope.get("path") or ""
    own = path[len(root) :] if path.startswith(root) else path
    return _find(getattr(scope.get("router"), "routes", None) or (), endpoint, own)


def _find(routes: Iterable[Any], endpoint: Any, path: str) -> str | None:
    """The path of the route to `endpoint` that matches `path`, in mounted apps too."""
    for route in routes:
        if getattr(route, "endpoint", None) is endpoint:
            regex = getattr(route, "path_regex", None)
            if regex is None or regex.match(path):
                return _path(route)
        elif found := _find(getattr(route, "routes", None) or (), endpoint, path):
            return found
    return None


def _mount(scope: Mapping[str, Any]) -> str:
    """The prefix that mounts have added to the root path while routing, parameters in it named again."""
    root, own = scope.get("root_path") or "", scope.get("app_root_path")
    prefix = "" if own is None else root[len(own) :]
    if not prefix:
        return ""
    names = {str(value): name for name, value in (scope.get("path_params") or {}).items()}
    return "/".join(f"{{{names[part]}}}" if part in names else part for part in prefix.split("/"))
