"""Which endpoint a trace belongs to: the framework's route, a template that is known, or a guess from the path."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass

from metlo_otel.core.guessing import is_parameter
from metlo_otel.core.routes import fits

LONGEST_HOST = 255  # characters, as DNS has it
LONGEST_PATH = 1024  # characters of a path that are kept to search by

_TEMPLATE = re.compile(r"/[^\\?<>&=]*")


@dataclass(frozen=True, slots=True)
class EndpointKey:
    """What tells endpoints apart; `path` has parameters as `{name}`, `operation` is GraphQL's (`query.user`)."""

    host: str
    method: str
    path: str
    operation: str = ""


def other_endpoint(method: str) -> EndpointKey:
    """Where traces are counted that belong to nothing known, or come once the inventory is full."""
    return EndpointKey("*", method, "/*")


def is_template(route: str | None) -> bool:
    """Whether a route that an agent told can stand for an endpoint."""
    return bool(route and _TEMPLATE.fullmatch(route))


def storable(text: str, longest: int) -> str:
    """`text` cut to a column's length and without NUL, which PostgreSQL refuses."""
    return text[:longest].replace("\0", "\ufffd")


class Templates:
    """The templates with parameters that are known, found by a path; literal segments win, from the left."""

    def __init__(self) -> None:
        self._by_shape: dict[tuple[str, str, int], list[tuple[list[bool], str]]] = defaultdict(list)

    def add(self, key: EndpointKey) -> None:
        """Know one template more; a path without parameters is none."""
        segments = key.path.split("/")
        shape = [is_parameter(segment) for segment in segments]
        if any(shape):
            known = self._by_shape[key.host, key.method, len(segments)]
            known.append((shape, key.path))
            known.sort()

    def find(self, host: str, method: str, path: str) -> str | None:
        """The template that a path without query belongs to, if one is known."""
        known = self._by_shape.get((host, method, path.count("/") + 1), ())
        return next((template for _, template in known if fits(template, path)), None)
