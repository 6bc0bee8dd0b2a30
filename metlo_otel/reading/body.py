"""A body's fields by its media type: JSON whole, cut or broken, forms, parts and text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import orjson

from metlo_otel.core.query import pairs
from metlo_otel.core.record import Message
from metlo_otel.core.turns import Turn, no_turn
from metlo_otel.reading.charsets import charset, decode, is_unusable, other_encodings
from metlo_otel.reading.codings import codings
from metlo_otel.reading.forms import looks_like_a_form
from metlo_otel.reading.json_cut import Missing, close_cut
from metlo_otel.reading.json_pieces import NotJsonError, documents
from metlo_otel.reading.json_prefix import parse_prefix
from metlo_otel.reading.multipart import Part, read_parts
from metlo_otel.reading.nodes import (
    MAX_ITEMS,
    MAX_NODES,
    Field,
    Left,
    Texts,
    pair_fields,
    untyped,
    walk,
)
from metlo_otel.reading.plausible import Plausible

MAX_WHOLE_JSON = 65_536
"""Bytes up to which an app's JSON is parsed in one step; what is longer is read up to the limits of fields."""

SHORT = 8192
"""Bytes, or characters, of what is read in one step whoever sent it; what is longer is read piece by piece."""

_MAX_PARTS = 200  # told of
_LINES = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"})


@dataclass(frozen=True, slots=True)
class Body:
    """A body's fields; `document` is its JSON: whole where `parsed`, else what stood before a fault or cut.

    `text` is what was decoded (None: binary, or never needed), `size` the whole body's in bytes, as it was sent. `left`
    is what the fields do not tell of the only thing that anybody reads in it; None: there may be more to read.
    """

    fields: tuple[Field, ...] = ()
    document: Any = None
    parsed: bool = False
    cut: bool = False
    text: str | None = ""
    size: int = 0
    left: tuple[tuple[str, Any], ...] | None = None


def read_body(section: str, message: Message, turn: Turn = no_turn) -> Body:
    """Read one body by its media type. An empty body without a media type, and a binary one, have no fields."""
    media_type = message.media_type
    if not message.body and not media_type:
        return Body(size=message.size)
    data, cut = message.body, message.truncated
    turn()
    read = _READERS.get(media_type) or (_json_text if media_type.endswith("+json") else _plain)
    body = read(section, data, message, cut, turn)
    turn()
    return replace(body, cut=cut, size=message.size)


def read_more(
    section: str, message: Message, body: Body, limit: int, turn: Turn = no_turn
) -> tuple[tuple[Field, ...], tuple[str, ...]]:
    """What else an app may find in a short request's body than what is declared, and why not all of it was read."""
    if not message.inspected:
        return (), ("body_size",) if message.partial else ()
    if body.left is not None and message.sent is None and not message.partial and _is_simple(message):
        found = Texts()
        return tuple([each for key, value in body.left for each in found.below(key, value)]), ()
    plausible = Plausible(section, message, limit, turn)
    more = dict.fromkeys(plausible.fields())
    for each in untyped(body.fields):
        more.pop(each, None)
    return tuple(more), tuple(plausible.incomplete)


def _is_simple(message: Message) -> bool:
    """Whether bytes and text are the same to every reader: UTF-8, as it came."""
    return (
        b"\0" not in message.body
        and not other_encodings(message.content_type)
        and not is_unusable(message.content_type)
        and not codings(message.header("content-encoding"))
    )


def _json(section: str, data: bytes, message: Message, cut: bool, turn: Turn) -> Body:
    if not data:
        return Body()
    encoding = charset(message.content_type) or "utf-8"
    if encoding == "utf-8" and len(data) <= _most(section):
        try:
            document = orjson.loads(data)
        except orjson.JSONDecodeError:
            pass
        else:
            left: Left = []
            return Body(tuple(walk(section, document, left=left)), document, True, text=None, left=tuple(left))
    text = decode(data, message.content_type, message.media_type, cut)
    return Body(text=None) if text is None else _loose_json(section, text, turn)


def _most(section: str) -> int:
    """Characters of JSON that are parsed in one step: a document takes many times the bytes, a client's as it likes."""
    return SHORT if section.startswith("reqBody") else MAX_WHOLE_JSON


def _loose_json(section: str, text: str, turn: Turn) -> Body:
    """JSON in another charset, cut, long, or broken. Broken JSON has no data types, but all of it is looked at."""
    if len(text) <= _most(section):
        try:
            document = orjson.loads(text)
        except orjson.JSONDecodeError:
            pass
        else:
            return Body(tuple(walk(section, document)), document, True, text=text)
        document = close_cut(text) if len(text) <= SHORT else Missing
        if document is not Missing:
            return Body(tuple(walk(section, document)), document, text=text)
    elif len(text) <= MAX_WHOLE_JSON:
        try:
            return Body(tuple(_told(section, text.lstrip(" \t\r\n"))), _call(text, turn), True, text=text)
        except NotJsonError:
            pass
    prefix = parse_prefix(text, turn)
    fields = walk(section, prefix.value) if prefix.found else []
    if prefix.broken:
        fields = [*untyped(fields), (section, text, None)]
    return Body(tuple(fields), prefix.value, prefix.found and not prefix.broken and not prefix.cut, text=text)


def _call(text: str, turn: Turn) -> Any:
    """Of a long document as much as tells of a GraphQL call."""
    return parse_prefix(text, turn).value if '"query"' in text else None


def _told(section: str, text: str) -> list[Field]:
    """The fields of each piece, ten of a key. Raises NotJsonError."""
    found: list[Field] = []
    told: dict[str, int] = {}
    for document in documents(text):
        room = MAX_NODES - len(found)
        for each in walk(section, document, 4 * MAX_NODES) if room > 0 else ():
            count = told[each[0]] = told.get(each[0], 0) + 1
            if count <= MAX_ITEMS and len(found) < MAX_NODES:
                found.append(each)
    return found


def _json_text(section: str, data: bytes, message: Message, cut: bool, turn: Turn) -> Body:
    """`+json`: the contract reports it as text; what it holds is looked at all the same."""
    body = _json(section, data, message, cut, turn)
    return replace(body, fields=((section, None, "string"), *untyped(body.fields)))


def _json_lines(section: str, data: bytes, message: Message, cut: bool, turn: Turn) -> Body:
    """NDJSON: reported as text, looked at as an array of its first lines."""
    text = decode(data, message.content_type, "application/json", cut)
    if text is None:
        return Body(text=None)
    lines = [line for line in text[:MAX_WHOLE_JSON].split("\n", MAX_ITEMS)[:MAX_ITEMS] if line.strip()]
    fields: list[Field] = [(section, None, "string")]
    for line in lines:
        fields += untyped(_loose_json(f"{section}.[]", line, turn).fields)
    return Body(tuple(fields[:MAX_NODES]), text=text)


def _form(section: str, data: bytes, message: Message, cut: bool, turn: Turn) -> Body:
    text = decode(data, message.content_type, message.media_type, cut)
    if text is None:
        return Body(text=None)
    encoding = charset(message.content_type) or "utf-8"
    named = list(islice(pairs(text, encoding), MAX_NODES + 1))
    turn()
    whole = len(named) <= MAX_NODES and text[:1] not in ("{", "[", '"', "-", " ", "\n")
    return Body(pair_fields(section + ".", named), text=text, left=() if whole else None)


def _multipart(section: str, data: bytes, message: Message, _cut: bool, _turn: Turn) -> Body:
    parts = read_parts(data, message.content_type, _MAX_PARTS)[:_MAX_PARTS]
    named = [(part.name, _said(part, data)) for part in parts if part.name is not None]
    return Body(pair_fields(section + ".", named), text=None)


def _said(part: Part, data: bytes) -> str:
    """A part's text, or the name of its file."""
    return data[part.start : part.end].decode("utf-8", "replace") if part.filename is None else part.filename


def _plain(section: str, data: bytes, message: Message, cut: bool, _turn: Turn) -> Body:
    """Text. JSON that does not say so is reported as text, and looked at as JSON too: apps do read it."""
    text = decode(data, message.content_type, message.media_type, cut)
    if text is None:
        return Body(text=None)
    inside: tuple[Field, ...] = ()
    left: Left = []
    document: Any = None
    if text[:1] in ("{", "[") and len(text) <= _most(section):
        try:
            document = orjson.loads(text)
            inside = untyped(walk(section, document, left=left))
        except orjson.JSONDecodeError:
            document = None
    whole = document is not None or (text[:1].isalpha() and not looks_like_a_form(text))
    fields = (section, text, "string"), *inside
    return Body(fields, document, document is not None, text=text, left=tuple(left) if whole else None)


_READERS: dict[str, Callable[[str, bytes, Message, bool, Turn], Body]] = {
    "application/json": _json,
    "application/x-www-form-urlencoded": _form,
    "multipart/form-data": _multipart,
    **dict.fromkeys(_LINES, _json_lines),
}
