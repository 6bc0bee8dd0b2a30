"""What stored traces tell beyond facts: formats of values, and of the values that stand in paths."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, select

from metlo_otel.collector.observed import Formats, find_formats, format_of
from metlo_otel.collector.schema import DOCUMENTS, TRACES

_SAMPLES = 10  # latest readable traces of an endpoint that are looked at
_PATHS = 50  # the same for paths
_LARGEST = 256 * 1024  # bytes of a trace that is looked at


def read_formats(connection: Connection, endpoint: int) -> Formats:
    """The formats of values in the latest traces of an endpoint that came with their content."""
    wanted = (
        select(DOCUMENTS.c.document)
        .join(TRACES, TRACES.c.id == DOCUMENTS.c.trace_id)
        .where(TRACES.c.endpoint_id == endpoint, ~TRACES.c.blocked, TRACES.c.status < 400)
        .where(~TRACES.c.redacted, TRACES.c.size <= _LARGEST)
        .order_by(TRACES.c.id.desc())
        .limit(_SAMPLES)
    )
    found: Formats = {}
    for document in connection.execute(wanted).scalars():
        _look_at(orjson.loads(document), found)
    return found


def read_paths(connection: Connection, endpoint: int) -> list[str]:
    """The paths of the latest traces of an endpoint that were not blocked."""
    wanted = select(TRACES.c.path).where(TRACES.c.endpoint_id == endpoint, ~TRACES.c.blocked)
    return list(connection.execute(wanted.order_by(TRACES.c.id.desc()).limit(_PATHS)).scalars())


def parameter_formats(template: str, paths: Sequence[str]) -> dict[int, str]:
    """By segment of a template: the format that all values there have, if they have one in common."""
    segments = template.split("/")
    values: dict[int, set[str]] = defaultdict(set)
    for path in paths:
        given = path.split("/")
        if len(given) == len(segments):
            for at, segment in enumerate(segments):
                if segment.startswith("{"):
                    value = given[at]
                    whole = value.isascii() and value.isdecimal() and value == str(int(value[:30]))
                    values[at].add("integer" if whole else format_of(value))
    return {at: next(iter(seen)) for at, seen in values.items() if len(seen) == 1}


def _look_at(document: Mapping[str, Any], found: Formats) -> None:
    if document.get("encryption"):
        return
    for section, name in (("reqBody", "request"), ("resBody", "response")):
        try:
            body = orjson.loads(document[name].get("body") or "null")
        except orjson.JSONDecodeError:
            continue  # a form, a text, or JSON that was cut
        find_formats(body, section, found)
    for pair in document["request"]["url"].get("parameters") or ():
        find_formats(pair["value"], f"reqQuery.{pair['name']}", found)
