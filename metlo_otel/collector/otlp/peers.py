"""Who calls whom, by what client spans tell of the other side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from metlo_otel.collector.otlp.spans import CLIENT, ERROR, Span
from metlo_otel.collector.services import ServiceCall
from metlo_otel.core.hosts import bare_host

_DEFAULT_PORTS = {"http": 80, "https": 443}


def call_of(span: Span) -> ServiceCall | None:
    """The call that a client span tells of; None for other spans, for other protocols, and where nobody is named."""
    found = span.attributes
    if span.kind != CLIENT or not any(name in found for name in _PROTOCOLS):
        return None
    caller, callee = span.resource.get("service.name"), _callee(found)
    if not isinstance(caller, str) or not caller or not callee:
        return None
    return ServiceCall(caller, callee, _failed(span))


_PROTOCOLS = ("http.request.method", "http.method", "rpc.system", "rpc.system.name")


def _callee(found: Mapping[str, Any]) -> str | None:
    """The service where the span names it, else the host as the request's Host header has it."""
    if named := _text(found, "service.peer.name", "peer.service"):
        return named
    url = _text(found, "url.full", "http.url")
    if url and (host := _host(url)):
        return host
    host = _text(found, "server.address", "net.peer.name", "network.peer.address", "net.peer.ip")
    port = _text(found, "server.port", "net.peer.port")
    if not host:
        return None
    host = bare_host(host).lower()
    host = f"[{host}]" if ":" in host and not host.startswith("[") and host.count(":") > 1 else host
    return f"{host}:{port}" if port and port not in ("80", "443") else host


def _host(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        default = parts.port in (None, _DEFAULT_PORTS.get(parts.scheme))
        name = parts.hostname or ""
        name = f"[{name}]" if ":" in name else name
        return name if default else f"{name}:{parts.port}"
    except ValueError:
        return None


def _failed(span: Span) -> bool:
    status = str(span.attributes.get("http.response.status_code", span.attributes.get("http.status_code", "")))
    return span.status == ERROR or (status.isdecimal() and int(status[:3]) >= 400)


def _text(found: Mapping[str, Any], *names: str) -> str | None:
    value = next((found[name] for name in names if found.get(name)), None)
    return None if value is None or isinstance(value, bytes | list | dict) else str(value)
