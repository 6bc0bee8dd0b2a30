"""Long texts in portions, so that a list of all their parts is never held: many short ones take ten times the bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

PORTION = 2048
"""Characters of a portion, about."""

_MOST_TOGETHER = 512  # short texts that are packed into one
_LONG = 1024
_BETWEEN = "\0"


def portions(text: str, mark: str) -> Iterator[str]:
    """A text in portions of some thousand characters, each ending before a mark, which is left out."""
    start = 0
    while start < len(text):
        end = text.find(mark, start + PORTION)
        end = len(text) if end < 0 else end
        yield text[start:end]
        start = end + len(mark)


class Packed:
    """Texts to be walked again and again, held in little more memory than their characters take.

    What is repeated nearby is held once.
    """

    __slots__ = ("_alone", "_blocks")

    def __init__(self, texts: Iterable[str]) -> None:
        self._alone: list[str] = []
        self._blocks: list[str] = []
        waiting: dict[str, None] = {}
        for text in texts:
            if len(text) > _LONG or _BETWEEN in text:
                self._alone.append(text)
                continue
            waiting[text] = None
            if len(waiting) >= _MOST_TOGETHER:
                self._blocks.append(_BETWEEN.join(waiting))
                waiting.clear()
        if waiting:
            self._blocks.append(_BETWEEN.join(waiting))

    def __iter__(self) -> Iterator[str]:
        yield from self._alone
        for block in self._blocks:
            yield from block.split(_BETWEEN)
