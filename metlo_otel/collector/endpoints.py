"""Which endpoint a trace belongs to: the framework's route, or a guess from the path."""

from __future__ import annotations

import re
from dataclasses import dataclass

from metlo_otel.collector.trace import Trace

LONGEST_HOST = 255  # characters, as DNS has it
LONGEST_PATH = 1024  # characters of a path that are kept to search by

_TEMPLATE = re.compile(r"/[^\\?<>&=]*")
_PARAMETER = re.compile(
    r"""(?ix)
      [+-]?\d+                                        # a number
    | [0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}       # a UUID
    | \d{4}-\d\d-\d\d                                 # a date
    | [0-9a-f]{16,}                                   # a hash
    | (?=[^/]*\d)(?=[^/]*[a-z])[\w~-]{20,}            # a token: long, of letters and digits
    """
)


@dataclass(frozen=True, slots=True)
class EndpointKey:
    """What tells endpoints apart; `path` has parameters as `{name}`."""

    host: str
    method: str
    path: str


def find_endpoint(trace: Trace) -> EndpointKey:
    """The endpoint of a trace, in text that every database can hold."""
    route = trace.route if trace.route and _TEMPLATE.fullmatch(trace.route) else guess_template(trace.path)
    return EndpointKey(storable(trace.host.lower(), LONGEST_HOST), trace.method, storable(route, LONGEST_PATH) or "/")


def other_endpoint(method: str) -> EndpointKey:
    """Where traces are counted once the inventory is full."""
    return EndpointKey("*", method, "/*")


def guess_template(path: str) -> str:
    """`path` with the segments that look like values, not names, as `{param1}`, `{param2}`, and so on."""
    count = 0
    segments = []
    for segment in path.split("/"):
        if _PARAMETER.fullmatch(segment):
            count += 1
            segment = f"{{param{count}}}"
        segments.append(segment)
    return "/".join(segments)


def storable(text: str, longest: int) -> str:
    """`text` cut to a column's length and without NUL, which PostgreSQL refuses."""
    return text[:longest].replace("\0", "\ufffd")
