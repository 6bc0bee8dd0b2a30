"""What an app may make of a request's body, whatever its headers declare: every text, and the fields in each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import orjson

from metlo_otel.core.query import pairs, unquoted
from metlo_otel.core.record import Message
from metlo_otel.core.turns import Turn, no_turn
from metlo_otel.reading import multipart
from metlo_otel.reading.charsets import is_unusable, looks_binary, texts, wide
from metlo_otel.reading.codings import codings, undo
from metlo_otel.reading.forms import looks_like_a_form
from metlo_otel.reading.nodes import MOST_PARTS, Field, clean, everything, field_key, loose_pair

_SPACE = " \t\r\n\ufeff"
_STRUCTURED = ("{", "[", '"')
_FORM = "application/x-www-form-urlencoded"
_STEP = 64  # of these between two turns
_MAX_FILE = 16_384  # bytes up to which a file of text is looked into
_RUN = re.compile(r"[^\x00-\x08\x0e-\x1f\x7f\ufffd\ud800-\udfff]{8,}")  # what is text in a file of something else
_MISSING = object()


@dataclass
class Plausible:
    """The readings of one body, each made when it is first asked for. `limit` bounds what an encoding may unfold to.

    Where `turn` says that the time is over, what was read so far is all; who gives it knows of that.
    """

    section: str
    message: Message
    limit: int
    turn: Turn = no_turn
    incomplete: list[str] = field(default_factory=list)

    @cached_property
    def contents(self) -> list[bytes]:
        """The bytes as they came and, where an encoding can be undone, what they are then."""
        sent = self.message.inspected
        applied = codings(self.message.header("content-encoding"))
        if not applied or not sent:
            return [sent]
        if self.message.sent is not None and self.message.body and not self.message.truncated:
            undone: tuple[bytes, bool] | None = (self.message.body, False)
        else:
            undone = undo(sent, applied, self.limit)
        if undone is None:
            self._note("encoding")
            return [sent]
        if undone[1]:
            self._note("body_size")
        return [sent, undone[0]]

    @cached_property
    def texts(self) -> list[str]:
        """Every text that the body may be read as."""
        return list(
            dict.fromkeys(
                text for content in self.contents for text in texts(content, self.message.content_type) if text
            )
        )

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """Every field that an app may find, without types; a text that no structure covers is a field by itself."""
        found: list[Field] = []
        for content in self.contents:
            found += self._of_parts(content)
        has_parts = bool(found)
        for content in self.contents[-1:]:  # what an encoding was undone of says nothing that is not in the outcome
            binary = looks_binary(content) and not wide(content)
            for text in texts(content, self.message.content_type):
                found += self._of_text(_without_nuls(text, content), has_parts, binary)
        if self.message.partial:
            self._note("body_size")
        if is_unusable(self.message.content_type):
            self._note("charset")
        return tuple(dict.fromkeys(found))

    def values(self) -> Iterator[str]:
        """The texts, then names and values of the fields: what rules on a body look at, the cheapest first."""
        yield from self.texts
        for text in self.texts:
            yield unquoted(text, "utf-8")
        for key, value, _ in self.fields:
            if isinstance(value, str):
                yield value
            yield key[len(self.section) + 1 :]

    def _note(self, reason: str) -> None:
        if reason not in self.incomplete:
            self.incomplete.append(reason)

    def _of_text(self, text: str, has_parts: bool, binary: bool) -> list[Field]:
        start = text.lstrip(_SPACE)
        if not start:
            return []
        if start[0] in _STRUCTURED:
            return self._of_json(start) or self._as_text(text, binary)
        if self.message.media_type == _FORM:
            return self._of_form(start)
        if has_parts:
            return []
        beside = self._of_form(start) if looks_like_a_form(start) and "\n" not in start.strip() else []
        return [*self._as_text(text, binary), *beside]

    def _as_text(self, text: str, binary: bool) -> list[Field]:
        """The text itself, of what looks binary the runs of text in it."""
        text = "\n".join(_RUN.findall(text)) if binary else clean(text)
        return [(self.section, text, None)] if text else []

    def _of_json(self, text: str) -> list[Field]:
        document = load(text)
        if document is not _MISSING:
            return self._all_of(self.section, document)
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) > 1 and load(lines[0]) is not _MISSING:
            return self._of_lines(lines)
        return []

    def _of_lines(self, lines: list[str]) -> list[Field]:
        found: list[Field] = []
        below = self.section + ".[]"
        for count, line in enumerate(lines):
            if max(count, len(found)) > MOST_PARTS:
                self._note("parts")
                break
            if not count % _STEP and self.turn():
                break
            value = load(line)
            found += [(below, clean(line), None)] if value is _MISSING else self._all_of(below, value)
        return found

    def _all_of(self, key: str, document: Any) -> list[Field]:
        found, whole = everything([(key, document)], MOST_PARTS, self.turn)
        if not whole:
            self._note("parts")
        return found

    def _of_form(self, text: str) -> list[Field]:
        found: list[Field] = []
        for count, (name, value) in enumerate(pairs(text)):
            if count >= MOST_PARTS:
                self._note("parts")
                break
            if not count % _STEP and self.turn():
                break
            found += loose_pair(self.section + ".", name, value)
        return found

    def _of_parts(self, content: bytes) -> list[Field]:
        declared = self.message.media_type.startswith("multipart/")
        if not declared and content.lstrip()[:2] != b"--":
            return []
        found: list[Field] = []
        parts = multipart.all_parts(content, self.message.content_type)
        if len(parts) > multipart.MAX_PARTS:
            self._note("parts")
        for count, part in enumerate(parts):
            if not count % _STEP and self.turn():
                break
            found += self._of_part(part, content)
        return found

    def _of_part(self, part: multipart.Part, content: bytes) -> list[Field]:
        found: list[Field] = []
        read = multipart.values(part, content) if part.filename is None or _is_text(content, part) else []
        for name in part.names or ("",):
            key, odd = field_key(self.section + ".", name, "x")
            key = key if part.names else self.section
            found += [(key, clean(text), None) for text in (*read, part.filename or "") if text]
            found += odd
        return found


def _without_nuls(text: str, content: bytes) -> str:
    """A text of which every other byte is NUL is one in UTF-16 or UTF-32: NULs are no sign of anything there."""
    return text.replace("\0", "") if "\0" in text and wide(content) else text


def _is_text(content: bytes, part: multipart.Part) -> bool:
    """Whether a file is short and of text, so that what it says is looked at."""
    held = content[part.start : part.end]
    if len(held) > _MAX_FILE or b"\0" in held:
        return False
    try:
        held.decode()
    except UnicodeDecodeError:
        return False
    return True


def load(text: str) -> Any:
    """The document of a JSON text, also with NaN and control characters as Python takes it; `_MISSING`: none."""
    try:
        return orjson.loads(text)
    except (orjson.JSONDecodeError, TypeError):
        pass
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return _MISSING
