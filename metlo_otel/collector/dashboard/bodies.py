"""Bodies for the eye: JSON indented with every key and number as it was sent, everything else as it is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from metlo_otel.analysis.attacks import detect
from metlo_otel.collector.dashboard.text import Piece, pieces

LONGEST = 65_536  # characters of a body that are shown
_STEP = 16_384  # characters that are looked at together
_DEEPEST = 60  # levels of JSON that are indented
_INDENT = "  "


class _Exact(str):
    """A number as it was written."""

    __slots__ = ()


class _Pairs(list[tuple[str, object]]):
    """An object with repeated keys kept."""


@dataclass(frozen=True, slots=True)
class Marks:
    """What is known of a message's values, by path: categories of attacks, and classes of sensitive data."""

    attacks: Mapping[str, Sequence[str]] = field(default_factory=dict)
    sensitive: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def pieces(self, path: str, text: str, kind: str = "text") -> list[Piece]:
        """The pieces of a value at `path`. An attack that is not there in clear (it is encoded) marks it all."""
        if path not in self.attacks:
            return pieces(text, kind="sensitive" if path in self.sensitive else kind)
        found = [finding.fragment for findings in detect([(path, text)]).values() for finding in findings]
        lower = text.lower()
        return pieces(text, [part for part in found if part.lower() in lower] or [text], kind)


def show_body(text: str, section: str, marks: Marks) -> list[Piece]:
    """A body in pieces; `section` is where its paths begin, `reqBody` or `resBody`."""
    if len(text) <= LONGEST and text.lstrip()[:1] in ("{", "["):
        value = _parse(text)
        if value is not None:
            return list(_write(value, section, marks, 0))
    shown = [piece for at in range(0, LONGEST, _STEP) for piece in marks.pieces(section, text[at : at + _STEP])]
    return shown + _rest(len(text) - LONGEST)


def _rest(left: int) -> list[Piece]:
    return [Piece(f"\n… ({left:,} more characters)", "note")] if left > 0 else []


def _parse(text: str) -> _Pairs | list[object] | None:
    try:
        value = json.loads(text, parse_int=_Exact, parse_float=_Exact, parse_constant=_Exact, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, list) and _depth(value) <= _DEEPEST else None


def _depth(value: object) -> int:
    """How deep lists and objects are nested, counted without recursion."""
    level, depth = [value], 0
    while level := [child for item in level for child in _children(item)]:
        depth += 1
    return depth


def _children(value: object) -> list[object]:
    if isinstance(value, _Pairs):
        return [item for _, item in value]
    return list(value) if isinstance(value, list) else []


def _write(value: object, path: str, marks: Marks, depth: int) -> Iterator[Piece]:
    if isinstance(value, list):
        yield from _write_many(value, path, marks, depth)
    elif isinstance(value, str) and not isinstance(value, _Exact):
        yield Piece('"', "text")
        yield from marks.pieces(path, value)
        yield Piece('"', "text")
    else:
        shown = str(value) if isinstance(value, _Exact) else json.dumps(value)
        kind = "number" if isinstance(value, _Exact) else "word"
        yield Piece(shown, "sensitive" if path in marks.sensitive else kind)


def _write_many(value: list[object], path: str, marks: Marks, depth: int) -> Iterator[Piece]:
    opening, closing = ("{", "}") if isinstance(value, _Pairs) else ("[", "]")
    if not value:
        yield Piece(opening + closing)
        return
    yield Piece(opening + "\n")
    for index, item in enumerate(value):
        yield Piece(_INDENT * (depth + 1))
        if isinstance(value, _Pairs) and isinstance(item, tuple):
            key, item = item
            yield from pieces(json.dumps(key, ensure_ascii=False), kind="key")
            yield Piece(": ")
            yield from _write(item, f"{path}.{key}", marks, depth + 1)
        else:
            yield from _write(item, f"{path}.[]", marks, depth + 1)
        yield Piece(",\n" if index < len(value) - 1 else "\n")
    yield Piece(_INDENT * depth + closing)
