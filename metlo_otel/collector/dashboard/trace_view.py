"""A stored trace as its page shows it: values in pieces, with attacks and sensitive data marked where they stand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from metlo_otel.analysis.attacks import detect
from metlo_otel.collector.dashboard.bodies import Marks, show_body
from metlo_otel.collector.dashboard.text import Piece, pieces
from metlo_otel.core.categories import own_detections

_ROWS = 300  # headers or parameters that are shown
_PLACES = 100  # of attacks that are shown
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Field:
    """A header, parameter or form field."""

    name: Sequence[Piece]
    value: Sequence[Piece]
    attacks: Sequence[str]
    classes: Sequence[str]


@dataclass(frozen=True, slots=True)
class Side:
    """A request or a response; `size` in bytes where the agent told it, `cut` where not all of the body was sent."""

    query: Sequence[Field]
    headers: Sequence[Field]
    form: Sequence[Field]
    body: Sequence[Piece]
    size: int | None
    cut: bool
    binary: bool


@dataclass(frozen=True, slots=True)
class Found:
    """An attack at a place of the request; `fragment` is what gave it away, empty where that cannot be told."""

    place: str
    categories: Sequence[str]
    fragment: str


@dataclass(frozen=True, slots=True)
class TraceView:
    """All that the page shows. `hidden` says why there is no content, empty where there is; `more` places of attacks
    are not in `found`.
    """

    method: str
    path: str
    shown_path: Sequence[Piece]
    endpoint: str
    hidden: str
    request: Side
    response: Side
    found: Sequence[Found]
    more: int
    sensitive: Sequence[tuple[str, Sequence[str]]]
    facts: Sequence[tuple[str, str]]


def view_trace(document: Mapping[str, Any]) -> TraceView:
    """The view of a trace's document, which was checked when it came."""
    request, processed = document["request"], _processed(document)
    url = request["url"]
    marks = Marks(_places(own_detections(processed)), _places(processed.get("sensitiveDataDetected")))
    attacked = list(marks.attacks.items())
    return TraceView(
        method=request["method"].upper(),
        path=url["path"],
        shown_path=marks.pieces("reqPath", url["path"], "plain"),
        endpoint=str(url.get("endpointPath") or url["path"]),
        hidden=_hidden(document),
        request=_side(document, "req", marks, "request"),
        response=_side(document, "res", marks, "response"),
        found=[Found(place, kinds, _fragment(document, place)) for place, kinds in attacked[:_PLACES]],
        more=max(len(attacked) - _PLACES, 0),
        sensitive=list(marks.sensitive.items()),
        facts=list(_facts(document)),
    )


def _processed(document: Mapping[str, Any]) -> Mapping[str, Any]:
    found = document.get("processedTraceData")
    return found if isinstance(found, dict) else {}


def _places(value: Any) -> dict[str, list[str]]:
    return {place: _texts(names) for place, names in value.items()} if isinstance(value, dict) else {}


def _texts(value: Any) -> list[str]:
    """What is kept was not checked in every part: only a list of texts is one."""
    return [text for text in value if isinstance(text, str)] if isinstance(value, list) else []


def _hidden(document: Mapping[str, Any]) -> str:
    if document.get("encryption"):
        return "The agent encrypted this for the owner of the key; the collector cannot read it."
    if document.get("redacted"):
        return "The agent sent no content, for full capture is off for this endpoint."
    return ""


def _side(document: Mapping[str, Any], prefix: str, marks: Marks, name: str) -> Side:
    message, meta = document[name], document.get("meta") or {}
    text = message.get("body") or ""
    form = _form(message, text) if prefix == "req" else []
    query = (message.get("url") or {}).get("parameters") or []
    size = meta.get(f"{name}BodySize")
    return Side(
        query=_fields([(pair["name"], pair["value"]) for pair in query], "reqQuery", marks),
        headers=_fields(_headers(message), f"{prefix}Headers", marks),
        form=_fields(form, "reqBody", marks),
        body=[] if form else show_body(text, f"{prefix}Body", marks),
        size=size if isinstance(size, int) else None,
        cut=meta.get(f"{name}BodyTruncated") is True,
        binary=meta.get(f"{name}BodyBinary") is True,
    )


def _headers(message: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(pair["name"], pair["value"]) for pair in message.get("headers") or []]


def _fields(pairs: Iterable[tuple[str, str]], section: str, marks: Marks) -> list[Field]:
    found = []
    for name, value in list(pairs)[:_ROWS]:
        place = f"{section}.{name}"
        found.append(
            Field(
                name=pieces(name),
                value=marks.pieces(place, value, "plain"),
                attacks=marks.attacks.get(place, ()),
                classes=marks.sensitive.get(place, ()),
            )
        )
    return found


def _form(message: Mapping[str, Any], text: str) -> list[tuple[str, str]]:
    kinds = [value for name, value in _headers(message) if name.lower() == "content-type"]
    if not text or not kinds or kinds[0].partition(";")[0].strip().lower() != _FORM:
        return []
    try:
        return parse_qsl(text, keep_blank_values=True, errors="replace", max_num_fields=10_000)
    except ValueError:
        return []


def _fragment(document: Mapping[str, Any], place: str) -> str:
    """The first fragment of an attack in a query parameter, a header or the path; bodies show it themselves."""
    section, _, name = place.partition(".")
    url = document["request"]["url"]
    pairs = [(pair["name"], pair["value"]) for pair in url.get("parameters") or []]
    values = {
        "reqPath": [url["path"]],
        "reqQuery": [value for key, value in pairs if key == name],
        "reqHeaders": [value for key, value in _headers(document["request"]) if key == name],
    }.get(section, [])
    found = detect((place, value) for value in values)
    return next((finding.fragment for findings in found.values() for finding in findings), "")


def _facts(document: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    """What is told about a request beside its content, in words."""
    meta, session, url = document.get("meta") or {}, document.get("sessionMeta") or {}, document["request"]["url"]
    duration = meta.get("durationMicroseconds")
    told: list[tuple[str, Any]] = [
        ("Host", url["host"]),
        ("Took", f"{duration / 1000:,.1f} ms" if isinstance(duration, int) else None),
        ("Address", meta.get("source")),
        ("Behind", meta.get("originalSource")),
        ("User", document["request"].get("user") or session.get("user")),
        ("Session", session.get("uniqueSessionKey")),
        ("Authentication", _authentication(session)),
        ("User agent", session.get("userAgent")),
        ("Environment", meta.get("environment")),
        ("Not inspected in full", ", ".join(map(str, meta.get("incomplete") or ())) or None),
        ("Trace id", meta.get("traceId")),
        ("Span id", meta.get("spanId")),
        ("Tags", ", ".join(_texts(_processed(document).get("requestTags")))),
    ]
    return [(name, str(value)) for name, value in told if value]


def _authentication(session: Mapping[str, Any]) -> str | None:
    if session.get("authenticationProvided") is None:
        return None
    if not session["authenticationProvided"]:
        return "none"
    return "accepted" if session.get("authenticationSuccessful") else "refused"
