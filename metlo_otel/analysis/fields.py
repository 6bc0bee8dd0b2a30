"""The fields of a request and its response: a key as Metlo's contract writes it, the value, and its data type."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any
from urllib.parse import unquote_plus

import orjson

from metlo_otel.analysis.bodies import charset, decode, unpack
from metlo_otel.analysis.json_cut import Missing, close_cut
from metlo_otel.analysis.json_prefix import parse_prefix
from metlo_otel.analysis.multipart import read_parts
from metlo_otel.core.record import Message, Pairs, Record

Scalar = str | int | float | bool | None
Field = tuple[str, Scalar, str | None]
"""Key (`reqBody.items.[].id`), value, and type; type None: looked at, but not reported as a data type."""

MAX_ITEMS = 10
MAX_NODES = 500
MAX_DEPTH = 50
MAX_WHOLE_JSON = 65_536
"""Bytes up to which JSON is parsed in one step; what is longer is read piece by piece up to the limits above."""

_MAX_NAME = 256
_MAX_KEY = 1024
_TYPES = {str: "string", int: "number", float: "number", bool: "boolean", type(None): "null"}
_LINES = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"})


@dataclass(frozen=True, slots=True)
class Body:
    """A body's fields; `document` is its JSON: whole where `parsed`, else what stood before a fault or cut.

    `text` is what was decoded (None: binary, or never needed), `size` the whole body's in bytes, as it was sent.
    """

    fields: tuple[Field, ...] = ()
    document: Any = None
    parsed: bool = False
    cut: bool = False
    text: str | None = ""
    size: int = 0


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

    @property
    def answered(self) -> tuple[Field, ...]:
        """What the app answered: headers, body."""
        return self.response_headers + self.response.fields


def read_fields(record: Record) -> Fields:
    """Read every field of a record: at most 10 items an array, 500 fields a section, 50 levels; nothing raises."""
    headers, body = _pairs("resHeaders.", record.response.headers), read_body("resBody", record.response)
    return replace(read_request(record), response_headers=headers, response=body)


def read_request(record: Record) -> Fields:
    """Read what the client sent, within the same bounds."""
    query, headers = _pairs("reqQuery.", record.query), _pairs("reqHeaders.", record.request.headers)
    return Fields(query, headers, read_body("reqBody", record.request))


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


def walk(key: str, value: Any, room: int = MAX_NODES) -> list[Field]:
    """The fields of a decoded JSON value under a key; at most `room` nodes are visited."""
    kind = _TYPES.get(type(value))
    if kind is not None:
        return [(key, value, kind)]
    found: list[Field] = []
    _descend(key, value, found, 1, room)
    return found


def _descend(key: str, value: Any, found: list[Field], depth: int, room: int) -> int:
    """Note what lies below a container; what is left of `room`. Written for speed: every field passes here."""
    if type(value) is dict:
        prefix = key + "."
        named = value.items() if len(value) <= room else islice(value.items(), max(0, room))
        room -= len(value)
        for name, item in named:
            kind = _TYPES.get(type(item))
            if kind is not None:
                found.append(((prefix + name)[:_MAX_KEY], item, kind))
            elif item and depth < MAX_DEPTH:
                room = _descend((prefix + name)[:_MAX_KEY], item, found, depth + 1, room)
        return room
    below = (key + ".[]")[:_MAX_KEY]
    for item in value[: max(0, min(MAX_ITEMS, room))]:
        room -= 1
        kind = _TYPES.get(type(item))
        if kind is not None:
            found.append((below, item, kind))
        elif item and depth < MAX_DEPTH:
            room = _descend(below, item, found, depth + 1, room)
    return room


def _pairs(prefix: str, pairs: Pairs | list[tuple[str, str]]) -> tuple[Field, ...]:
    return tuple([(prefix + clean(name[:_MAX_NAME]), clean(value), "string") for name, value in pairs[:MAX_NODES]])


def clean(text: str) -> str:
    """The text with halves of surrogate pairs as question marks: what is sent is UTF-8, which has none."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def read_body(section: str, message: Message) -> Body:
    """Read one body by its media type. An empty body without a media type, and a binary one, have no fields."""
    media_type = message.media_type
    if not message.body and not media_type:
        return Body(size=message.size)
    data, cut = unpack(message)
    read = _READERS.get(media_type) or (_json_text if media_type.endswith("+json") else _plain)
    return replace(read(section, data, message, cut), cut=cut, size=message.size)


def _json(section: str, data: bytes, message: Message, cut: bool) -> Body:
    if not data:
        return Body()
    encoding = charset(message.content_type) or "utf-8"
    if encoding == "utf-8" and len(data) <= MAX_WHOLE_JSON:
        try:
            document = orjson.loads(data)
        except orjson.JSONDecodeError:
            pass
        else:
            return Body(tuple(walk(section, document)), document, True, text=None)
    text = decode(data, message.content_type, message.media_type, cut)
    return Body(text=None) if text is None else _loose_json(section, text)


def _loose_json(section: str, text: str) -> Body:
    """JSON in another charset, cut, long, or broken. Broken JSON has no data types, but all of it is looked at."""
    if len(text) <= MAX_WHOLE_JSON:
        try:
            document = orjson.loads(text)
        except orjson.JSONDecodeError:
            pass
        else:
            return Body(tuple(walk(section, document)), document, True, text=text)
        document = close_cut(text)
        if document is not Missing:
            return Body(tuple(walk(section, document)), document, text=text)
    prefix = parse_prefix(text)
    fields = walk(section, prefix.value) if prefix.found else []
    if prefix.broken:
        fields = [*_untyped(fields), (section, text, None)]
    return Body(tuple(fields), prefix.value, prefix.found and not prefix.broken and not prefix.cut, text=text)


def _json_text(section: str, data: bytes, message: Message, cut: bool) -> Body:
    """`+json`: the contract reports it as text; what it holds is looked at all the same."""
    body = _json(section, data, message, cut)
    return replace(body, fields=((section, None, "string"), *_untyped(body.fields)))


def _json_lines(section: str, data: bytes, message: Message, cut: bool) -> Body:
    """NDJSON: reported as text, looked at as an array of its first lines."""
    text = decode(data, message.content_type, "application/json", cut)
    if text is None:
        return Body(text=None)
    lines = [line for line in text[:MAX_WHOLE_JSON].split("\n", MAX_ITEMS)[:MAX_ITEMS] if line.strip()]
    fields: list[Field] = [(section, None, "string")]
    for line in lines:
        fields += _untyped(_loose_json(f"{section}.[]", line).fields)
    return Body(tuple(fields[:MAX_NODES]), text=text)


def _form(section: str, data: bytes, message: Message, cut: bool) -> Body:
    text = decode(data, message.content_type, message.media_type, cut)
    if text is None:
        return Body(text=None)
    encoding = charset(message.content_type) or "utf-8"
    return Body(_pairs(section + ".", form_pairs(text, encoding)), text=text)


def form_pairs(text: str, encoding: str = "utf-8") -> list[tuple[str, str]]:
    """The decoded pairs of an urlencoded form, at most 500; a name without `=` has an empty value."""
    pairs = []
    for piece in text.split("&", MAX_NODES)[:MAX_NODES]:
        if piece:
            name, _, value = piece.partition("=")
            pairs.append((_unquote(name, encoding), _unquote(value, encoding)))
    return pairs


def _unquote(text: str, encoding: str) -> str:
    return unquote_plus(text, encoding, "replace") if "%" in text or "+" in text else text


def _multipart(section: str, data: bytes, message: Message, _cut: bool) -> Body:
    parts = read_parts(data, message.content_type)
    named = [(part.name, part.value if part.filename is None else part.filename) for part in parts]
    return Body(_pairs(section + ".", named), text=None)


def _plain(section: str, data: bytes, message: Message, cut: bool) -> Body:
    """Text. JSON that does not say so is reported as text, and looked at as JSON too: apps do read it."""
    text = decode(data, message.content_type, message.media_type, cut)
    if text is None:
        return Body(text=None)
    inside: list[Field] = []
    document: Any = None
    if text[:1] in ("{", "[") and len(text) <= MAX_WHOLE_JSON:
        try:
            document = orjson.loads(text)
            inside = _untyped(walk(section, document))
        except orjson.JSONDecodeError:
            document = None
    return Body(((section, text, "string"), *inside), document, document is not None, text=text)


def _untyped(fields: Iterable[Field]) -> list[Field]:
    return [(key, value, None) for key, value, _ in fields]


_READERS: dict[str, Callable[[str, bytes, Message, bool], Body]] = {
    "application/json": _json,
    "application/x-www-form-urlencoded": _form,
    "multipart/form-data": _multipart,
    **dict.fromkeys(_LINES, _json_lines),
}
