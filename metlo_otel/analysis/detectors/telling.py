"""What a text must hold before a detector can find anything in it: one of some words, or one of some signs.

Every detector names both. Texts without either are let through after one look for the words and one for the signs,
which is what makes ordinary values cheap.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

Signs = tuple[tuple[str, str], ...]
"""Characters, and the pattern of what follows one of them where it tells something (empty: whatever follows)."""

_WORD = re.compile("[a-z_]{2,}")
_FREQUENT = ".,-'/:()&\"+_;"  # signs of ordinary texts, tried before the others


words: Callable[[str], list[str]] = _WORD.findall
"""The runs of letters and underscores of a lower-case text, those of a single letter left out."""


def runs(names: Iterable[str]) -> frozenset[str]:
    """Of each name the longest of its runs: a text without it does not hold the name."""
    return frozenset(max(_WORD.findall(name), key=len) for name in names)


def pattern(signs: Iterable[tuple[str, str]]) -> re.Pattern[str]:
    """One pattern for all signs. Every alternative starts with a character of its own: so `re` skips to those."""
    led: dict[str, list[str]] = {}
    for characters, rest in signs:
        for character in characters:
            led.setdefault(character, []).append(rest)
    frequent = sorted(led, key=lambda sign: (_FREQUENT + sign).index(sign))
    return re.compile("|".join(f"{re.escape(sign)}(?:{'|'.join(led[sign])})" for sign in frequent))


def telling(known: frozenset[str], signs: Iterable[tuple[str, str]]) -> Callable[[str, list[str]], bool]:
    """Whether a lower-case text, given with its words, holds one of the known ones or of the signs."""
    search = pattern(signs).search
    return lambda lower, words: not known.isdisjoint(words) or search(lower) is not None
