"""Reading JSON that others wrote: what can be understood is, and what is left can be written again."""

from __future__ import annotations

import json
from typing import Any

import orjson


class JsonError(ValueError):
    """This is not JSON, or nested too deeply."""


def read_json(raw: bytes) -> Any:
    """The value of a JSON text. Of a repeated key the last value counts.

    What strict readers refuse but agents send is kept as near as it goes: invalid UTF-8 and lone surrogates become
    U+FFFD, so that one odd string does not lose the other traces of a batch. NaN and Infinity are no JSON.
    """
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as problem:
        return _read_patiently(raw, problem)


def check_servable(value: Any, what: str) -> None:
    """Raise ValueError, which begins with `what`, for a value that cannot be written as strict JSON."""
    try:
        orjson.dumps(value)
    except TypeError as problem:
        raise ValueError(f"{what}: this cannot be sent to agents as JSON: {problem}") from None


def _read_patiently(raw: bytes, problem: orjson.JSONDecodeError) -> Any:
    try:
        return _clean(json.loads(raw.decode("utf-8", "replace").lstrip("\ufeff"), parse_constant=_no_number))
    except RecursionError:
        raise JsonError("the JSON is nested too deeply") from None
    except ValueError:
        raise JsonError(f"not JSON: {problem}") from None


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is not a JSON number")


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return value if value.isascii() else _mend(value)
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if isinstance(value, dict):
        return {_clean(key): _clean(item) for key, item in value.items()}
    return value


def _mend(text: str) -> str:
    """Halves of surrogate pairs joined, or replaced where the other half is missing."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
