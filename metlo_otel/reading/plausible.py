"""What an app may make of a request's body, whatever its headers declare: every text, and the fields in each."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain

from metlo_otel.core.portions import PORTION
from metlo_otel.core.query import pairs, unquoted
from metlo_otel.core.record import Message
from metlo_otel.core.turns import Turn, no_turn
from metlo_otel.reading import multipart
from metlo_otel.reading.charsets import is_unusable, looks_binary, other_encodings, readings, texts, wide
from metlo_otel.reading.codings import codings, undo
from metlo_otel.reading.forms import looks_like_a_form, telling_pairs
from metlo_otel.reading.json_cut import Missing
from metlo_otel.reading.json_pieces import NotJsonError, TooDeepError, documents, lines, load
from metlo_otel.reading.nodes import Field, Texts, clean, field_key, loose_pair

_SPACE = " \t\r\n\ufeff"
_STRUCTURED = ("{", "[", '"')
_FORM = "application/x-www-form-urlencoded"
_STEP = 64  # of these between two turns
_MAX_FILE = 16_384  # bytes up to which a file of text is looked into
_RUN = re.compile(r"[^\x00-\x08\x0e-\x1f\x7f\ufffd\ud800-\udfff]{8,}")  # what is text in a file of something else


@dataclass
class Plausible:
    """The readings of one body, each made when it is first asked for. `limit` bounds what an encoding may unfold to.

    Where `turn` says that the time is over, what was read so far is all; who gives it knows of that. Of what is
    `telling`, plain short words in forms and plain names alone are left out.
    """

    section: str
    message: Message
    limit: int
    turn: Turn = no_turn
    telling: bool = False
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

    def fields(self) -> Iterator[Field]:
        """Every field that an app may find, without types; a text that no structure covers is a field by itself.

        Made as they are asked for, so that they never are all there; `incomplete` is known behind the last one.
        """
        return chain.from_iterable(self._blocks())

    def _blocks(self) -> Iterator[Sequence[Field]]:
        """The fields, some at a time."""
        has_parts = False
        for content in self.contents:
            for fields in self._of_parts(content):
                has_parts = True
                yield fields
        content = self.contents[-1]  # what an encoding was undone of says nothing that is not in the outcome
        binary = looks_binary(content) and not wide(content)
        before = ""
        for each in readings(content, self.message.content_type):
            text = _without_nuls(each, content)
            if text != before:
                yield from self._of_text(text, has_parts, binary)
            before = text
        if self.message.partial:
            self._note("body_size")
        if is_unusable(self.message.content_type):
            self._note("charset")

    def values(self) -> Iterator[str]:
        """The texts, then names and values of the fields: what rules on a body look at, the cheapest first."""
        yield from self.texts
        for text in self.texts:
            yield unquoted(text, "utf-8")
        before = ""
        for key, value, _ in self.fields():
            yield str(value)
            if key is not before:
                before = key
                yield key[len(self.section) + 1 :]

    def _note(self, reason: str) -> None:
        if reason not in self.incomplete:
            self.incomplete.append(reason)

    def _of_text(self, text: str, has_parts: bool, binary: bool) -> Iterator[Sequence[Field]]:
        start = text.lstrip(_SPACE)
        if not start:
            return
        if start[0] in _STRUCTURED:
            is_json = yield from self._of_json(start)
            if not is_json:
                yield from self._as_text(text, binary)
        elif self.message.media_type == _FORM:
            yield from self._of_form(start)
        elif not has_parts:
            yield from self._as_text(text, binary)
            if looks_like_a_form(start) and "\n" not in start.rstrip():
                yield from self._of_form(start)

    def _as_text(self, text: str, binary: bool) -> Iterator[Sequence[Field]]:
        """The text itself, of what looks binary the runs of text in it."""
        for each in _runs(text) if binary else (text,):
            if each:
                yield ((self.section, each, None),)

    def _of_json(self, text: str) -> Generator[Sequence[Field], None, bool]:
        """The texts of a document, or of many in lines; whether it was one."""
        found = Texts(self.telling)
        try:
            for document in documents(text):
                yield found.below(self.section, document)
                if self.turn():
                    break
            return True
        except TooDeepError:
            self._note("parts")
            return False
        except NotJsonError:
            end = text.find("\n")
            if end < 0 or load(text[:end]) is Missing:
                return False
        for together in lines(text):
            yield found.below(self.section, together)
            if self.turn():
                break
        return True

    def _of_form(self, text: str) -> Iterator[Sequence[Field]]:
        for count, (name, value) in enumerate(telling_pairs(text) if self.telling else pairs(text)):
            if not count % _STEP and self.turn():
                break
            yield loose_pair(self.section + ".", name, value)

    def _of_parts(self, content: bytes) -> Iterator[Sequence[Field]]:
        declared = self.message.media_type.startswith("multipart/")
        if not declared and content.lstrip()[:2] != b"--":
            return
        parts = multipart.all_parts(content, self.message.content_type)
        if len(parts) > multipart.MAX_PARTS:
            self._note("parts")
        for count, part in enumerate(parts):
            if not count % _STEP and self.turn():
                break
            yield self._of_part(part, content)

    def _of_part(self, part: multipart.Part, content: bytes) -> list[Field]:
        found: list[Field] = []
        named = other_encodings(self.message.content_type)
        read = multipart.values(part, content, named) if not part.is_file or _is_text(content, part) else []
        for name in part.names or ("",):
            key, odd = field_key(self.section + ".", name, "x")
            key = key if part.names else self.section
            found += [(key, clean(text), None) for text in (*read, part.filename or "") if text]
            found += odd
        return found


def _runs(text: str) -> Iterator[str]:
    """The runs of text in what looks binary, some thousand characters of them together."""
    found: list[str] = []
    size = 0
    for match in _RUN.finditer(text):
        found.append(match[0])
        size += len(match[0])
        if size > PORTION:
            yield "\n".join(found)
            found, size = found[-1:], 0
    yield "\n".join(found)


def _without_nuls(text: str, content: bytes) -> str:
    """A text of which every other byte is NUL is one in UTF-16 or UTF-32: NULs are no sign of anything there."""
    return text.replace("\0", "") if "\0" in text and wide(content) else text


def _is_text(content: bytes, part: multipart.Part) -> bool:
    """Whether a file is short and of text, in whatever charset, so that what it says is looked at."""
    held = content[part.start : part.end]
    return len(held) <= _MAX_FILE and not looks_binary(held)
