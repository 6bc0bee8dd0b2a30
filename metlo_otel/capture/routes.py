"""The route template of an ASGI request, read from what frameworks put into its scope, without importing any."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_BELOW_A_MOUNT = "/{path:path}"


def asgi_route(scope: Mapping[str, Any]) -> str | None:
    """`/users/{id}` with all that stands before it in the request's path; None where nothing tells of a route.

    Litestar says the whole template. Starlette 1 and FastAPI put the route into the scope, FastAPI with included
    routers its whole path beside it; older ones leave only the endpoint, whose route is looked for.
    """
    whole = scope.get("path_template")
    route = scope.get("route")
    path = whole if isinstance(whole, str) and whole else _included(scope) or _path(route) or _of_endpoint(scope)
    root: str = scope.get("root_path") or ""
    if not root or not path:
        return path
    before, mount = _prefix(scope, root)
    if mount and path == _path(route) and not hasattr(route, "endpoint"):
        path = _in_mount(scope, route, root)  # the mount's own path ends the prefix already
    return before + mount + path if path else None


def _included(scope: Mapping[str, Any]) -> str | None:
    """What an included router's prefix makes of a route, where FastAPI keeps it."""
    own = scope.get("fastapi")
    return _path(own.get("effective_route_context")) if type(own) is dict else None


def _path(route: Any) -> str | None:
    """The path without converters, but with those that take several segments."""
    path = getattr(route, "path", None)
    if not isinstance(path, str) or ":path}" not in path:
        path = getattr(route, "path_format", None) or path
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


def _in_mount(scope: Mapping[str, Any], route: Any, root: str) -> str | None:
    """What is below a mount: of an app without routes, as one for files, anything; else the route, if there is one."""
    routes = getattr(route, "routes", None)
    return _matching(routes, str(scope.get("path"))[len(root) :]) if routes else _BELOW_A_MOUNT


def _matching(routes: Iterable[Any], path: str) -> str | None:
    """The path of the first route that matches `path`; an app that routes a copy of the scope does not tell it."""
    for route in routes:
        regex = getattr(route, "path_regex", None)
        if regex is not None and hasattr(route, "endpoint") and regex.match(path):
            return _path(route)
    return None


def _prefix(scope: Mapping[str, Any], root: str) -> tuple[str, str]:
    """What the server's root path puts before the route, and what mounts did while routing.

    Where a proxy has cut the root path off, the request's path does not have it, and neither has its template.
    """
    path = scope.get("path") or ""
    given = scope.get("app_root_path")
    before: str = root if given is None else given
    mount = root[len(before) :] if root.startswith(before) else ""
    named = "/".join(_named(mount.split("/"), scope.get("path_params") or {})) if mount else ""
    return before.rstrip("/") if path == before or path.startswith(before.rstrip("/") + "/") else "", named


def _named(parts: Iterable[str], parameters: Mapping[str, Any]) -> Iterable[str]:
    """A mount's path, the values of its parameters replaced by their names."""
    names = {str(value): name for name, value in parameters.items()}
    return (f"{{{names[part]}}}" if part in names else part for part in parts)
