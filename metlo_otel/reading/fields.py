"""The fields of a request and its response, and the data types that the backend is told."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import islice

from metlo_otel.core.query import pairs
from metlo_otel.core.record import Record
from metlo_otel.core.turns import Turn, no_turn
from metlo_otel.reading.body import Body, read_body, read_more
from metlo_otel.reading.charsets import query_encoding
from metlo_otel.reading.nodes import MAX_NODES, Field, Scalar, loose_pair, pair_fields

MAX_INSPECT = 65_536
"""Bytes that an encoded body may unfold to, to be inspected."""


_MOST_PAIRS = 10_000  # of a query
_SHORT = 8192  # bytes: such a request is never read in part, and its fields may wait with it for the worker


@dataclass(frozen=True, slots=True)
class Fields:
    """All fields of a record by where they stood.

    `more` is what else an app may find in the request, `incomplete` why not all of it could be read.
    """

    query: tuple[Field, ...] = ()
    request_headers: tuple[Field, ...] = ()
    request: Body = field(default_factory=Body)
    response_headers: tuple[Field, ...] = ()
    response: Body = field(default_factory=Body)
    more: tuple[Field, ...] = ()
    incomplete: tuple[str, ...] = ()

    @property
    def inspected(self) -> tuple[Field, ...]:
        """What the client sent, and whatever else an app may read it as."""
        return self.sent + self.more

    @property
    def sent(self) -> tuple[Field, ...]:
        """What the client sent: query, headers, body."""
        return self.query + self.request_headers + self.request.fields

    def sent_texts(self) -> list[tuple[str, str]]:
        """Keys and values of what the client sent, all as text: null is empty, the others as JSON writes them."""
        return [(key, value if type(value) is str else _as_text(value)) for key, value, _ in self.sent]

    @property
    def answered(self) -> tuple[Field, ...]:
        """What the app answered: headers, body."""
        return self.response_headers + self.response.fields


def _as_text(value: Scalar) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def read_fields(record: Record, turn: Turn = no_turn, limit: int = MAX_INSPECT) -> Fields:
    """Read every field of a record: at most 10 items an array, 500 fields a section, 50 levels; nothing raises."""
    request = read_request(record, turn, limit)
    turn()
    headers = pair_fields("resHeaders.", record.response.headers)
    return replace(request, response_headers=headers, response=read_body("resBody", record.response, turn))


def read_request(record: Record, turn: Turn = no_turn, limit: int = MAX_INSPECT) -> Fields:
    """Read what the client sent, within the same bounds; what was read of a short request is not read again."""
    asked = record.query, record.raw_query, limit
    for known in record.request.read:
        if known[0] == asked:
            return known[1]  # type: ignore[no-any-return]  # it was put there below
    found = _read_request(record, turn, limit)
    if len(record.request.inspected) <= _SHORT and len(record.raw_query) <= _SHORT:
        record.request.read[:] = [(asked, found)]
    return found


def _read_request(record: Record, turn: Turn, limit: int) -> Fields:
    query, headers = pair_fields("reqQuery.", record.query), pair_fields("reqHeaders.", record.request.headers)
    body = read_body("reqBody", record.request, turn)
    more, incomplete = read_more("reqBody", record.request, body, limit, turn)
    return Fields(query, headers, body, more=(*_other_query(record), *more), incomplete=incomplete)


def _other_query(record: Record) -> tuple[Field, ...]:
    """Of the query what is not told: all behind the first 500, and all in the charset that the request names, in which
    Django reads it too.
    """
    found: list[Field] = []
    if len(record.query) > MAX_NODES or record.raw_query.count("&") >= MAX_NODES:
        for name, value in islice(pairs(record.raw_query), MAX_NODES, _MOST_PAIRS):
            found += loose_pair("reqQuery.", name, value)
    encoding = query_encoding(record.request.content_type)
    if encoding is not None and record.raw_query:
        text = record.raw_query.encode("utf-8", "replace").decode(encoding, "replace")
        for name, value in islice(pairs(text, encoding), _MOST_PAIRS):
            found += loose_pair("reqQuery.", name, value)
    return tuple(found)


def data_types(fields: Fields, status: int) -> dict[str, list[str]]:
    """`{key: sorted types}`. For a status of 400 and above the request's side is left out, as Metlo expects."""
    found: dict[str, list[str]] = {}
    for key, _, kind in fields.sent + fields.answered if status < 400 else fields.answered:
        if kind is not None:
            types = found.get(key)
            if types is None:
                found[key] = [kind]
            elif kind not in types:
                types.append(kind)
                types.sort()
    return found
