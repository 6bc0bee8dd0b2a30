"""Exchanges and rules for tests, told once and built for WSGI and ASGI."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

from metlo_otel.blocking.rules import Rule, parse_rules
from metlo_otel.blocking.view import Client
from metlo_otel.core.exchange import Exchange
from metlo_otel.core.request import EnvironRequest, Request, ScopeRequest

Headers = Iterable[tuple[str, str]]
KINDS = ("wsgi", "asgi")
NOW = 1_700_000_000.0  # seconds since the epoch


def environ_request(method: str, target: str, headers: Headers, peer: str) -> Request:
    path, _, query = target.partition("?")
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": unquote(path).encode().decode("latin-1"),
        "QUERY_STRING": query,
        "REMOTE_ADDR": peer,
    }
    for name, value in headers:
        key = "HTTP_" + name.upper().replace("-", "_")
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    return EnvironRequest(environ)


def scope_request(method: str, target: str, headers: Headers, peer: str) -> Request:
    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": unquote(path),
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers],
        "client": (peer, 50000) if peer else None,
    }
    return ScopeRequest(scope)


def exchange(
    method: str = "GET",
    target: str = "/",
    headers: Headers = (),
    body: bytes = b"",
    status: int = 0,
    peer: str = "192.0.2.1",
    kind: str = "asgi",
) -> Exchange:
    build = scope_request if kind == "asgi" else environ_request
    made = Exchange(build(method, target, list(headers), peer), 10_000)
    made.request_body.add(body)
    made.status = status
    return made


def client(ip: str | None = "192.0.2.1", user: str | None = None, session: str | None = None) -> Client:
    return Client(lambda: ip, lambda: user, lambda: session)


def refused(message: str) -> None:
    raise AssertionError(message)


def condition(field: str, operator: str, value: Any, key: str | None = None) -> dict[str, Any]:
    return {"field": field, "operator": operator, "key": key, "value": value}


def every(*conditions: dict[str, Any]) -> dict[str, Any]:
    return {"rule": "all", "conditions": list(conditions)}


def either(*conditions: dict[str, Any]) -> dict[str, Any]:
    return {"rule": "one", "conditions": list(conditions)}


def wire(*groups: dict[str, Any], uuid: str = "r", ends: float | None = None) -> dict[str, Any]:
    """A block rule as the backend serves it."""
    action = {"actionType": "block", "blockEndTime": ends}
    return {
        "uuid": uuid,
        "ruleType": "block",
        "tagName": None,
        "identifiers": None,
        "action": action,
        "conditionGroups": list(groups),
    }


def wire_tag(name: str, *groups: dict[str, Any]) -> dict[str, Any]:
    return {**wire(*groups, uuid=f"tag-{name}"), "ruleType": "tag", "tagName": name, "action": None}


def wire_limit(
    threshold: int,
    *groups: dict[str, Any],
    uuid: str = "limit",
    interval: str = "minute_1",
    seconds: int = 30,
    by: list[str] | None = None,
) -> dict[str, Any]:
    duration = {"hour": 0, "minute": 0, "second": seconds}
    limit = {"threshold": threshold, "interval": interval, "duration": duration}
    action = {"actionType": "block", "blockEndTime": None, "rateLimit": limit}
    rule = wire(*groups, uuid=uuid)
    return {**rule, "ruleType": "rate_limit", "identifiers": by, "action": action}


def parsed(*items: dict[str, Any]) -> tuple[Rule, ...]:
    """Rules that must all be right."""
    return parse_rules(items, refused)
