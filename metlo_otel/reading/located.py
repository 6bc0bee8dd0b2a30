"""Fields with their places: what has a name in a text, and where its value stands there, so that it can be replaced."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import AnyStr

Located = tuple[str, int, int]
"""What a field is called, and where its value begins and ends: as it is written, it is `text[start:end]`."""

Wanted = Callable[[str], bool]
"""Whether the fields of a name are looked for."""


def replaced(text: AnyStr, pieces: Iterable[tuple[int, int, AnyStr]]) -> AnyStr:
    """The text with `text[start:end]` replaced by `new`, for each (start, end, new); what overlaps goes as one."""
    kept: list[AnyStr] = []
    position = 0
    for start, end, new in sorted(pieces):
        if start >= position:
            kept += [text[position:start], new]
        position = max(position, end)
    kept.append(text[position:])
    return text[:0].join(kept) if position else text
