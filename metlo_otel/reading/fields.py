"""The fields of a request and its response, and the data types that the backend is told."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain

from metlo_otel.core.query import pairs_in
from metlo_otel.core.record import Record
from metlo_otel.core.turns import Turn, no_turn
from metlo_otel.reading.body import SHORT, Body, read_body, read_more
from metlo_otel.reading.charsets import query_encoding
from metlo_otel.reading.forms import telling_pairs
from metlo_otel.reading.nodes import MAX_NODES, Field, Scalar, loose_pair, pair_fields
from metlo_otel.reading.plausible import Plausible

MAX_INSPECT = 65_536
"""Bytes that an encoded body may unfold to, to be inspected."""


@dataclass(frozen=True, slots=True)
class Fields:
    """All fields of a record by where they stood.

    `more` is what else an app may find in the request, of a long one made anew each time that it is walked. `noted` is
    why not all of it could be read, known behind its last one.
    """

    query: tuple[Field, ...] = ()
    request_headers: tuple[Field, ...] = ()
    request: Body = field(default_factory=Body)
    response_headers: tuple[Field, ...] = ()
    response: Body = field(default_factory=Body)
    more: Iterable[Field] = ()
    noted: Collection[str] = ()

    @property
    def inspected(self) -> Iterator[Field]:
        """What the client sent, and whatever else an app may read it as."""
        return chain(self.query, self.request_headers, self.request.fields, self.more)

    @property
    def incomplete(self) -> tuple[str, ...]:
        """Why not all of the request could be read, once all fields were walked."""
        return tuple(self.noted)

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
    if not _is_short(record):
        return replace(read_stream(record, turn, limit), request=read_body("reqBody", record.request, turn))
    asked = record.query, record.raw_query, limit
    for known in record.request.read:
        if known[0] == asked:
            return known[1]  # type: ignore[no-any-return]  # it was put there below
    found = _read_short(record, turn, limit)
    record.request.read[:] = [(asked, found)]
    return found


def read_to_inspect(record: Record, turn: Turn, limit: int) -> Fields:
    """As read_request, for who looks at all fields and tells nothing: a long body is not read for what is declared."""
    return read_request(record, turn, limit) if _is_short(record) else read_stream(record, turn, limit)


def read_stream(record: Record, turn: Turn, limit: int) -> Fields:
    """Query and headers of a long request, and all of its body as `more`."""
    more = _More(record, turn, limit)
    return Fields(*_read_head(record), more=more, noted=more.noted)


class _More:
    """What an app may find in a long request, made anew each time that it is walked."""

    def __init__(self, record: Record, turn: Turn, limit: int) -> None:
        self._asked = record, turn, limit
        self.noted: dict[str, None] = {}

    def __iter__(self) -> Iterator[Field]:
        record, turn, limit = self._asked
        if not record.request.inspected:
            return chain(_other_query(record), self._note(("body_size",) if record.request.partial else ()))
        plausible = Plausible("reqBody", record.request, limit, turn, telling=True)
        return chain(_other_query(record), plausible.fields(), self._note(plausible.incomplete))

    def _note(self, reasons: Iterable[str]) -> Iterator[Field]:
        """No field: why not all was read is noted when what is behind the last one is asked for."""
        self.noted.update(dict.fromkeys(reasons))
        yield from ()


def _is_short(record: Record) -> bool:
    """Such a request is never read in part, and its fields may wait with it for the worker."""
    return len(record.request.inspected) <= SHORT and len(record.raw_query) <= SHORT


def _read_short(record: Record, turn: Turn, limit: int) -> Fields:
    body = read_body("reqBody", record.request, turn)
    more, incomplete = read_more("reqBody", record.request, body, limit, turn)
    return Fields(*_read_head(record), body, more=(*_other_query(record), *more), noted=incomplete)


def _read_head(record: Record) -> tuple[tuple[Field, ...], tuple[Field, ...]]:
    return pair_fields("reqQuery.", record.query), pair_fields("reqHeaders.", record.request.headers)


def _other_query(record: Record) -> Iterator[Field]:
    """Of the query what may not be told: all of more than 500 pairs, and all in the charset that the request names, in
    which Django reads it too.
    """
    if len(record.query) > MAX_NODES or record.raw_query.count("&") >= MAX_NODES:
        for name, value in telling_pairs(record.raw_query):
            yield from loose_pair("reqQuery.", name, value)
    encoding = query_encoding(record.request.content_type)
    if encoding is not None and record.raw_query:
        for name, value in pairs_in(record.raw_query.encode("utf-8", "replace"), encoding):
            yield from loose_pair("reqQuery.", name, value)


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
