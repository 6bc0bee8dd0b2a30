"""Text that others wrote, made fit to be looked at: what is invisible or turns text around is shown as an escape."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

LONGEST = 16_384  # characters of one value that are shown

# Controls, soft hyphens, zero-width and bidirectional marks, line separators, halves of surrogate pairs, tags.
_ODD = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u3164\ufeff\uffa0\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text and what it is: plain, odd, hit (of an attack), key, text, number, word or sensitive."""

    text: str
    kind: str = "plain"


def visible(text: str) -> str:
    """`text` with its invisible characters as escapes, tabs and line feeds kept."""
    return text if text.isascii() and text.isprintable() else _ODD.sub(_escape, text)


def json_text(value: Any) -> str:
    """A value as JSON to be read and edited, its invisible characters as JSON's own escapes."""
    written = json.dumps(value, indent=2, ensure_ascii=False)
    return _ODD.sub(lambda match: json.dumps(match.group())[1:-1], written)


def cut(text: str, longest: int = LONGEST) -> str:
    """`text`, or its beginning and how much is left out."""
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text) - longest:,} more characters)"


def pieces(text: str, fragments: Iterable[str] = (), kind: str = "plain") -> list[Piece]:
    """`text` as pieces of `kind`, with `fragments` as hits and invisible characters as odd ones."""
    found = []
    for part, part_kind in _split(cut(text), list(fragments), kind):
        found += _odd_apart(part, part_kind)
    return found


def _split(text: str, fragments: list[str], kind: str) -> list[tuple[str, str]]:
    wanted = [re.escape(fragment) for fragment in sorted(fragments, key=len, reverse=True) if fragment]
    if not wanted:
        return [(text, kind)]
    parts = re.split(f"({'|'.join(wanted)})", text, flags=re.IGNORECASE)
    return [(part, "hit" if index % 2 else kind) for index, part in enumerate(parts) if part]


def _odd_apart(text: str, kind: str) -> list[Piece]:
    found, at = [], 0
    for match in _ODD.finditer(text):
        if match.start() > at:
            found.append(Piece(text[at : match.start()], kind))
        found.append(Piece(_escape(match), "odd"))
        at = match.end()
    if at < len(text):
        found.append(Piece(text[at:], kind))
    return found


def _escape(match: re.Match[str]) -> str:
    number = ord(match.group())
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"
