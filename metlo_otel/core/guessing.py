"""The template that a path without a route probably belongs to: segments that look like values become parameters."""

from __future__ import annotations

import re

_PARAMETER = re.compile(
    r"""(?ix)
      [+-]?\d+                                        # a number
    | [0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}       # a UUID
    | \d{4}-\d\d-\d\d(T[\d:.]+(Z|[+-][\d:]+)?)?       # a date, or a moment
    | [0-9a-f]{16,}                                   # a hash
    | (?=[^/]*\d)(?=[^/]*[a-z])[\w~-]{20,}            # a token: long, of letters and digits
    | [^/@]+@[^/@]+\.[a-z]{2,}                        # an e-mail address
    """
)


def is_parameter(segment: str) -> bool:
    """Whether a template's segment is a parameter, `{name}`."""
    return segment[:1] == "{" and segment[-1:] == "}"


def guess_template(path: str) -> str:
    """`path` with the segments that look like values, not names, as `{param1}`, `{param2}`, and so on."""
    return number_parameters(["{}" if _PARAMETER.fullmatch(segment) else segment for segment in path.split("/")])


def number_parameters(segments: list[str]) -> str:
    """The path of these segments, its parameters `{param1}`, `{param2}`, and so on, whatever they were called."""
    count = 0
    named = []
    for segment in segments:
        if is_parameter(segment):
            count += 1
            segment = f"{{param{count}}}"
        named.append(segment)
    return "/".join(named)
