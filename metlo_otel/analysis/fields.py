"""The fields of a request and its response, and the data types that the backend is told."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from metlo_otel.analysis.body_fields import Body, read_body
from metlo_otel.analysis.nodes import Field, Scalar, pair_fields
from metlo_otel.analysis.turns import Turn, no_turn
from metlo_otel.core.record import Record


@dataclass(frozen=True, slots=True)
class Fields:
    """All fields of a record by where they stood."""

    query: tuple[Field, ...] = ()
    request_headers: tuple[Field, ...] = ()
    request: Body = field(default_factory=Body)
    response_headers: tuple[Field, ...] = ()
    response: Body = field(default_factory=Body)

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


def read_fields(record: Record, turn: Turn = no_turn) -> Fields:
    """Read every field of a record: at most 10 items an array, 500 fields a section, 50 levels; nothing raises."""
    request = read_request(record, turn)
    turn()
    headers = pair_fields("resHeaders.", record.response.headers)
    return replace(request, response_headers=headers, response=read_body("resBody", record.response, turn))


def read_request(record: Record, turn: Turn = no_turn) -> Fields:
    """Read what the client sent, within the same bounds."""
    query, headers = pair_fields("reqQuery.", record.query), pair_fields("reqHeaders.", record.request.headers)
    return Fields(query, headers, read_body("reqBody", record.request, turn))


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
