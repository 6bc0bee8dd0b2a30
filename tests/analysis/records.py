"""Records for tests: made by hand, and from the raw traces and recordings of the reference data."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote

from metlo_otel.core.agent_config import AgentConfig, parse_agent_config
from metlo_otel.core.record import Message, Pairs, Record
from tests.shared import SHARED


def refuse(message: str) -> None:
    """A `warn` for configurations in which nothing may be wrong."""
    raise AssertionError(message)


def message(body: bytes | str = b"", content_type: str | None = None, headers: Pairs = (), size: int = -1) -> Message:
    """A request's or a response's headers and body; `size` where more passed than is held."""
    raw = body if isinstance(body, bytes) else body.encode("utf-8", "surrogatepass")
    named = headers if content_type is None else (("Content-Type", content_type), *headers)
    return Message(named, raw, len(raw) if size < 0 else size)


def record(request: Message | None = None, response: Message | None = None, **changes: Any) -> Record:
    """A record of a POST to /a/b that was answered with 200, with changes."""
    given: dict[str, Any] = {
        "method": "POST",
        "scheme": "http",
        "host": "shop.example",
        "path": "/a/b",
        "query": (),
        "request": request or Message(),
        "response": response or Message(),
        "status": 200,
        "source": ("127.0.0.1", 50000),
        "destination": ("127.0.0.1", 80),
    }
    return Record(**{**given, **changes})


def json_record(document: Any, answer: Any = None, **changes: Any) -> Record:
    """A record with JSON bodies."""
    bodies = [message(json.dumps(each), "application/json") for each in (document, answer)]
    return record(*bodies, **changes)


def from_trace(trace: Mapping[str, Any]) -> Record:
    """The record that a raw trace of the reference data describes; a forwarded address counts as in its recorder."""
    url, request, response = trace["request"]["url"], trace["request"], trace["response"]
    headers = _pairs(request["headers"])
    forwarded = next((value for name, value in headers if name.lower() == "x-forwarded-for"), None)
    source = forwarded.partition(",")[0].strip() if forwarded else trace["meta"]["source"]
    return record(
        message(request.get("body") or "", None, headers),
        message(response.get("body") or "", None, _pairs(response["headers"])),
        method=request["method"],
        host=url["host"],
        path=url["path"],
        query=_pairs(url["parameters"]),
        status=response["status"],
        source=(source, trace["meta"]["sourcePort"]),
        user=request.get("user"),
    )


def _pairs(items: Iterable[Mapping[str, str]] | None) -> Pairs:
    return tuple((item["name"], item["value"]) for item in items or ())


def from_exchange(request: Mapping[str, Any], answer: Mapping[str, Any], asgi: bool = False) -> Record:
    """The record of a recorded request and the app's answer, with the headers as the app saw and sent them."""
    path, _, query = request["target"].partition("?")
    sent = _bytes(request["body"])
    headers = {"Accept-Encoding": "identity", **request["headers"]}
    if request["body"] is not None:
        headers["Content-Length"] = str(len(sent))
    answered = {
        name: value for name, value in answer["headers"].items() if name.lower() not in ("server", "connection")
    }
    case = str.lower if asgi else str
    forwarded = headers.get("X-Forwarded-For", "127.0.0.1").partition(",")[0].strip()
    return record(
        message(sent, None, tuple((case(name), value) for name, value in headers.items())),
        message(_bytes(answer["body"]), None, tuple((case(name), value) for name, value in answered.items())),
        method=request["method"],
        host=headers["Host"],
        path=unquote(path),
        query=tuple(parse_qsl(query, keep_blank_values=True)),
        status=answer["status"],
        source=(forwarded, 50000),
    )


def _bytes(body: Mapping[str, str] | None) -> bytes:
    if body is None:
        return b""
    return base64.b64decode(body["base64"]) if "base64" in body else body["text"].encode()


def golden(name: str) -> Iterator[dict[str, Any]]:
    """The cases of a golden file."""
    if SHARED is not None:
        for line in (SHARED / "contract/recorded" / name).read_text("utf-8").splitlines():
            yield json.loads(line)


def recorded() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every recorded case with its name, `flask/...` or `fastapi/...`."""
    if SHARED is not None:
        for path in sorted((SHARED / "contract/recorded").glob("*/*.json")):
            yield f"{path.parent.name}/{path.stem}", json.loads(path.read_text("utf-8"))


def config(document: Mapping[str, Any]) -> AgentConfig:
    """A parsed agent-config in which nothing may be left out."""
    return parse_agent_config(document, refuse)


def golden_config() -> AgentConfig:
    """The configuration under which the golden files were made."""
    assert SHARED is not None
    return config(json.loads((SHARED / "contract/recorded/golden_config.json").read_text("utf-8")))
