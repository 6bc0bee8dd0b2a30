"""Whether a text in the place of a name is one: what is none may be content, and leaves as `{other}`."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise

OTHER = "{other}"
"""What stands for a name that does not look like one."""

_LONGEST = 64
_ODD = re.compile(r"[{}\"<>=;\s\x00-\x1f\x7f]")
_POINTER = re.compile(r"(?:[\w.@$-]{1,32}:){1,3}[\w.@$#-]{0,40}|/[\w.~/:@-]{0,63}")  # a namespace, a JSON pointer
_FLAG = re.compile(r"[a-z_]{0,20}[0-9]{0,2}|[A-Z][a-z]{0,14}(?:-[A-Z][a-z]{0,14}){0,4}")
_PERSON = re.compile(r"[^@]+@(?!odata\.)[\w-]+(?:\.[\w-]+)+|\+?(?:[ ().,/-]*[0-9]){7,}[ ().,/-]*", re.IGNORECASE)
"""An address of e-mail; the number of a phone, a card, a person: at least seven digits and hardly anything else."""
_RUN = re.compile(r"[A-Za-z0-9+/_-]{20,}")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,15}|[A-Za-z_][A-Za-z_.-]{0,29}")  # most: they need no second look
_MOST_KNOWN = 1000
known: set[str] = set()
"""Plain names that were met before, so that asking for one again costs nothing; a thousand, by `is_plain` alone."""


def is_plain(name: str) -> bool:
    """Whether a name is as most are: short, of letters and few digits."""
    if name in known:
        return True
    if _PLAIN.fullmatch(name) is None:
        return False
    if len(known) >= _MOST_KNOWN:
        known.clear()
    known.add(name)
    return True


def is_name(name: str, value: str = "") -> bool:
    """Whether `name` looks like one; with an empty `value`, as where no `=` stands beside it, more is asked of it."""
    if not value:
        return _FLAG.fullmatch(name) is not None
    if is_plain(name):
        return True
    return _is_name(name) if len(name) <= _LONGEST else False


@lru_cache(maxsize=1024)
def _is_name(name: str) -> bool:
    if _ODD.search(name) or _PERSON.fullmatch(name) or (":" in name and not _POINTER.fullmatch(name)):
        return False
    return not any(_is_random(run) for run in _RUN.findall(name))


def _is_random(run: str) -> bool:
    """Whether a run of letters and digits looks drawn by lot: digits and both cases mixed, or hexadecimal."""
    digits = sum(char.isdigit() for char in run)
    if re.fullmatch(r"[0-9a-fA-F-]{20,}", run):
        return digits >= 4
    kinds = [(char.isdigit(), char.isupper()) for char in run]
    changes = sum(one != two for one, two in pairwise(kinds))
    return digits >= 2 and changes * 3 >= len(run)
