"""Places where a category of attacks is nothing to report or block: `DETECTION_EXCEPT`, and what the backend serves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from metlo_otel.core.categories import ATTACKS

_ANY = "*"
_LONGEST = 1024  # characters of a path or a field that are compared
_PARAMETER = re.compile(r"\{[^{}/]*\}")


@dataclass(frozen=True, slots=True)
class Exemption:
    """Findings of `category` in the field `field` of requests to `path` do not count.

    `*` stands for anything in path and field, and for every category; `{name}` for one segment of a path.
    """

    path: str = _ANY
    field: str = _ANY
    category: str = _ANY


def parse_exemption(item: Any) -> Exemption:
    """Read one, from an object or from `PATH FIELD CATEGORY` (`/posts reqBody.text SQLI`). Raises ValueError."""
    if isinstance(item, Exemption):
        return item
    if isinstance(item, str):
        words = item.split()
        if len(words) != 3:
            raise ValueError(f"path, field and category are expected (/posts reqBody.text SQLI), not {item[:80]!r}")
        item = dict(zip(("path", "field", "category"), words, strict=True))
    if not isinstance(item, Mapping) or not set(item) <= {"path", "field", "category"}:
        raise ValueError("an object with path, field and category is expected")
    found = Exemption(**{name: str(value).strip() or _ANY for name, value in item.items()})
    found = Exemption(found.path, found.field, found.category.upper())
    _check(found)
    return found


def parse_exemptions(value: Any) -> tuple[Exemption, ...]:
    """Places where findings do not count: `PATH FIELD CATEGORY`, several separated by commas; or a list of them."""
    items = value.split(",") if isinstance(value, str) else value
    if isinstance(items, Mapping) or not isinstance(items, Iterable):
        raise ValueError("a list of path, field and category is expected (/posts reqBody.text SQLI)")
    return tuple([parse_exemption(item) for item in items if not isinstance(item, str) or item.strip()])


def _check(found: Exemption) -> None:
    if found.category not in (*ATTACKS, _ANY):
        raise ValueError(f"category is * or one of {', '.join(ATTACKS)}, not {found.category[:60]!r}")
    if found.path[:1] not in ("/", _ANY):
        raise ValueError(f"path begins with / or is *, not {found.path[:60]!r}")
    if max(found.path.count(_ANY), found.field.count(_ANY)) > 1:
        raise ValueError("at most one star is expected in a path or a field")  # two take a matcher time
    if set(found.path) == set(found.field) == {_ANY}:
        raise ValueError("a path or a field is expected: for all of them there is DETECTION")


class Exemptions:
    """Several, compiled: asked for each finding, of which there are few."""

    def __init__(self, items: Iterable[Exemption] = ()) -> None:
        self._compiled = [(_pattern(each.path, True), _pattern(each.field), each.category) for each in items]

    def cover(self, path: str, field: str, category: str) -> bool:
        """Whether a finding in a request to `path`, percent-decoded, does not count.

        A path that is written to be read as another one is covered by none.
        """
        if not self._compiled or max(len(path), len(field)) > _LONGEST:
            return False
        if "//" in path or "/." in path or "\\" in path:
            return False
        path = path.rstrip("/") or "/"
        return any(
            wanted in (category, _ANY) and place.fullmatch(field) and where.fullmatch(path)
            for where, place, wanted in self._compiled
        )


def _pattern(text: str, is_path: bool = False) -> re.Pattern[str]:
    if not is_path:
        return re.compile(re.escape(text).replace(re.escape(_ANY), ".*"), re.DOTALL)
    segments = (text.rstrip("/") or "/").split("/")
    return re.compile("/".join(map(_segment, segments)), re.DOTALL)


def _segment(text: str) -> str:
    """A segment of a path; one with several parameters is any, since to tell them apart takes a matcher time."""
    if len(_PARAMETER.findall(text)) > 1:
        return "[^/]+"
    parts = _PARAMETER.split(text)
    return "[^/]+".join(re.escape(part).replace(re.escape(_ANY), ".*") for part in parts)
