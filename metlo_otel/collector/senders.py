"""Raw traces as the original agents really send them, brought into the plain form that is checked and analysed.

Express, Koa, Fastify and Java agents hand over what their framework holds: bodies as objects, lists, numbers or
Buffers, names with several values, texts for numbers, and no status where there is none yet.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import orjson

from metlo_otel.collector.trace import TraceError, in_words
from metlo_otel.core.hosts import bare_host
from metlo_otel.core.query import pairs

_PAIRS = 1_000  # headers or parameters of one message
_DEPTH = 16  # of `a[b][c]`; what is deeper is written as JSON
UNKNOWN = 0  # the status of a response that nobody told of


def plain(item: Any) -> Any:
    """The plain form of a decoded raw trace; what is none at all is left for the check to refuse."""
    if not isinstance(item, dict) or not isinstance(item.get("request"), dict):
        return item
    request = item["request"]
    response = item.get("response")
    meta = item.get("meta")
    response = response if isinstance(response, dict) else {}
    meta = meta if isinstance(meta, dict) else {}
    return {
        **item,
        "request": {
            **request,
            "url": _url(request.get("url"), meta),
            "headers": _pairs(request.get("headers"), "request.headers"),
            "body": _body(request.get("body")),
            "user": _scalar(request["user"]) if request.get("user") is not None else None,
        },
        "response": {
            **response,
            "status": _status(response.get("status")),
            "headers": _pairs(response.get("headers"), "response.headers"),
            "body": _body(response.get("body")),
        },
        "meta": {**meta, "source": _address(meta, "source"), "destination": _address(meta, "destination")},
    }


def _url(url: Any, meta: Mapping[str, Any]) -> Any:
    """The path may be a whole URL, or have the query that `parameters` lacks; without a host it is where it came in."""
    if not isinstance(url, dict):
        return url
    host, path = url.get("host"), url.get("path")
    parameters = _pairs(url.get("parameters"), "request.url.parameters")
    if isinstance(path, str):
        host, path, query = _split(host, path)
        parameters = parameters or [{"name": name, "value": value} for name, value in list(pairs(query))[:_PAIRS]]
    if not isinstance(host, str) or not host:
        host = _address(meta, "destination") or "unknown"
    return {**url, "host": bare_host(host), "path": path, "parameters": parameters}


def _split(host: Any, path: str) -> tuple[Any, str, str]:
    if path[:8].lower().startswith(("http://", "https://")):
        try:
            parts = urlsplit(path)
            return host or parts.netloc.rpartition("@")[2], parts.path or "/", parts.query
        except ValueError:
            return host, "/", ""
    path, _, query = path.partition("?")
    return host, path if path.startswith("/") else "/" + path, query


def _address(meta: Mapping[str, Any], name: str) -> str | None:
    found = meta.get(name)
    return bare_host(found) if isinstance(found, str) else None


def _status(status: Any) -> Any:
    if status is None:
        return UNKNOWN
    if isinstance(status, str) and status.isascii() and status.isdecimal() and len(status) == 3:
        return int(status)
    return int(status) if isinstance(status, float) and status.is_integer() else status


def _body(body: Any) -> str:
    """A body's text: a Buffer's bytes, of anything else that is no text its JSON; nothing of null, as it has none."""
    if isinstance(body, str):
        return body
    if body is None:
        return ""
    if isinstance(body, dict) and body.get("type") == "Buffer" and isinstance(data := body.get("data"), list):
        try:
            return bytes(data).decode("utf-8", "replace")
        except (TypeError, ValueError):
            pass  # an object of the app that looks like one
    return _json(body)


def _pairs(given: Any, where: str) -> list[dict[str, str]]:
    """Names and values, an array of values as the name repeated, an object's as Express reads them: `a[b]`."""
    if given is None:
        return []
    items = list(given.items()) if isinstance(given, dict) else _named(given, where)
    found = [{"name": name, "value": value} for key, item in items for name, value in _spread(key, item, 0)]
    if len(found) > _PAIRS:
        raise TraceError(where, f"at most {_PAIRS} names and values are expected, not {len(found)}")
    return found


def _named(given: Any, where: str) -> list[tuple[str, Any]]:
    if not isinstance(given, list):
        raise TraceError(where, f"a list is expected, not {in_words(given)}")
    for index, pair in enumerate(given):
        if not isinstance(pair, dict) or pair.get("name") is None:
            raise TraceError(f"{where}[{index}]", "an object with name and value is expected")
    return [(_scalar(pair["name"]), pair.get("value")) for pair in given]


def _spread(name: str, value: Any, depth: int) -> Iterator[tuple[str, str]]:
    if isinstance(value, list) and value and depth < _DEPTH:
        for item in value:
            yield from _spread(name, item, depth + 1)
    elif isinstance(value, dict) and value and depth < _DEPTH:
        for key, item in value.items():
            yield from _spread(f"{name}[{key}]", item, depth + 1)
    else:
        yield name, _scalar(value)


def _scalar(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else _json(value)


def _json(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # a number of more than 64 bits, or nested deeper than orjson writes
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
