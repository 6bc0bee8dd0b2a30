"""HAR 1.2, http://www.softwareishard.com/blog/har-12-spec/: what browsers recorded as raw traces, and back."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from metlo_otel.collector.jsontext import JsonError, read_json
from metlo_otel.core.version import __version__


class HarError(ValueError):
    """This is no HAR; the text says why."""


def read_har(raw: bytes) -> list[Any]:
    """The entries of a HAR. Raises HarError."""
    try:
        document = read_json(raw)
    except JsonError as problem:
        raise HarError(str(problem)) from None
    log = document.get("log") if isinstance(document, dict) else None
    entries = log.get("entries") if isinstance(log, dict) else None
    if not isinstance(entries, list):
        raise HarError("a HAR is an object whose log has a list of entries")
    return entries


def trace_of(entry: Any) -> dict[str, Any]:
    """A raw trace of an entry, for read_trace() to check. Raises HarError for what is no entry at all."""
    request, response = _part(entry, "request"), _part(entry, "response")
    url = _url(request.get("url"))
    body, content = request.get("postData") or {}, response.get("content") or {}
    pairs = request.get("queryString") or [
        {"name": name, "value": value} for name, value in parse_qsl(url.query, keep_blank_values=True)
    ]
    return {
        "request": {
            "method": str(request.get("method", "")).upper(),
            "url": {"host": url.netloc.rpartition("@")[2], "path": url.path or "/", "parameters": _pairs(pairs)},
            "headers": _pairs(request.get("headers")),
            "body": _sent(body),
        },
        "response": {
            "status": response.get("status"),
            "headers": _pairs(response.get("headers")),
            "body": _received(content),
        },
        "meta": {
            "environment": "import",
            "incoming": True,
            "source": None,
            "destination": entry.get("serverIPAddress"),
            "scheme": url.scheme,
        },
    }


def frame() -> dict[str, Any]:
    """A HAR without entries."""
    return {"log": {"version": "1.2", "creator": {"name": "metlo-otel", "version": __version__}, "entries": []}}


def entry_of(received: int, trace: Mapping[str, Any]) -> dict[str, Any]:
    """The entry of a stored trace, received at a moment in ms; what is redacted or encrypted is left out."""
    request, response, meta = trace["request"], trace["response"], trace.get("meta") or {}
    readable = not trace.get("encryption")  # else names and values are ciphertext
    parameters = (request["url"].get("parameters") or []) if readable else []
    sent = (request.get("body") or "") if readable else ""
    answered = (response.get("body") or "") if readable else ""
    headers, answers = _headers(request, readable), _headers(response, readable)
    query = urlencode([(pair["name"], pair["value"]) for pair in parameters])
    url = f"{meta.get('scheme') or 'http'}://{request['url']['host']}{request['url']['path']}" + (query and f"?{query}")
    took = meta["duration"] / 1000 if isinstance(meta.get("duration"), int) else 0
    moment = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(received / 1000))}.{received % 1000:03}Z"
    entry: dict[str, Any] = {
        "startedDateTime": moment,
        "time": took,
        "request": {
            **_message(headers, len(sent.encode("utf-8", "replace"))),
            "method": request["method"],
            "url": url,
            "queryString": parameters,
        },
        "response": {
            **_message(answers, len(answered.encode("utf-8", "replace"))),
            "status": response["status"],
            "statusText": "",
            "redirectURL": "",
            "content": {"size": len(answered), "mimeType": _media(answers), "text": answered},
        },
        "cache": {},
        "timings": {"send": 0, "wait": took, "receive": 0},
    }
    if sent:
        entry["request"]["postData"] = {"mimeType": _media(headers), "text": sent}
    return entry


def _part(entry: Any, name: str) -> dict[str, Any]:
    found = entry.get(name) if isinstance(entry, dict) else None
    if isinstance(found, dict):
        return found
    raise HarError(f"an entry has an object {name!r}")


def _url(value: Any) -> Any:
    try:
        url = urlsplit(value if isinstance(value, str) else "")
    except ValueError as problem:
        raise HarError(f"the URL {str(value)[:100]!r} is none: {problem}") from None
    if url.scheme in ("http", "https") and url.netloc:
        return url
    raise HarError(f"a URL of http or https is expected, not {str(value)[:100]!r}")


def _pairs(pairs: Any) -> list[dict[str, str]]:
    """Names and values; HTTP/2's own (`:path`) are no headers."""
    return [
        {"name": str(pair["name"]), "value": str(pair.get("value", ""))}
        for pair in (pairs if isinstance(pairs, list) else ())
        if isinstance(pair, dict) and pair.get("name") and not str(pair["name"]).startswith(":")
    ]


def _sent(body: Any) -> str:
    if not isinstance(body, dict):
        return ""
    if isinstance(body.get("text"), str) and body["text"]:
        return str(body["text"])
    return urlencode([(pair["name"], pair["value"]) for pair in _pairs(body.get("params"))])


def _received(content: Any) -> str:
    text = content.get("text") if isinstance(content, dict) else None
    if not isinstance(text, str):
        return ""
    if content.get("encoding") != "base64":
        return text
    try:
        return base64.b64decode(text).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return ""


def _headers(message: Mapping[str, Any], readable: bool) -> list[dict[str, str]]:
    return list(message.get("headers") or []) if readable else []


def _message(headers: list[dict[str, str]], size: int) -> dict[str, Any]:
    return {"httpVersion": "HTTP/1.1", "cookies": [], "headers": headers, "headersSize": -1, "bodySize": size}


def _media(headers: list[dict[str, str]]) -> str:
    return next((pair["value"] for pair in headers if pair["name"].lower() == "content-type"), "")
