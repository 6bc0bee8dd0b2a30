"""What an app understood, by place, as it goes over the wire."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any

Understood = dict[str, list[str]]
Part = Callable[[], Iterable[Any]]


def gathered(**parts: Part) -> bytes:
    """JSON of what each part gives; one that fails, as it may in an app, gives nothing."""
    found: Understood = {}
    for place, part in parts.items():
        found[place] = []
        with suppress(Exception):
            found[place] = [text if isinstance(text, str) else str(text) for text in part()]
    return json.dumps(found).encode()


def read(answer: bytes) -> Understood | None:
    """What was understood, None where another than the app answered."""
    try:
        found = json.loads(answer)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "path" in found and "text" in found else None


def leaves(value: Any) -> Iterator[str]:
    """All names and values of a JSON document."""
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, dict):
            yield from item
            todo += item.values()
        elif isinstance(item, list):
            todo += item
        else:
            yield str(item)


def document(data: bytes | str) -> list[str]:
    """What a JSON document holds, in UTF-8, 16 or 32, as the standard library reads it."""
    return list(leaves(json.loads(data)))


def listed(values: Iterable[str]) -> list[str]:
    """Headers' values, whole and item by item."""
    return [item for value in values for item in (value, *(part.strip() for part in value.split(",")))]


def pairs(items: Iterable[tuple[str, Any]]) -> list[str]:
    """Names and values."""
    return [text for name, value in items for text in (name, value)]


def named(items: Iterable[tuple[str, str]]) -> list[str]:
    """The values of the parameter that rules ask for."""
    return [value for name, value in items if name == "q"]
