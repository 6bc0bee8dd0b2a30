"""Reading JSON that others wrote."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metlo_otel.collector.jsontext import JsonError, read_json

_TEXT = st.text(st.characters())  # all of Unicode, lone surrogates included
_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=20,
)


@given(_JSON)
def test_what_was_read_can_be_written(value: Any) -> None:
    """Whatever an agent's JSON holds, lone surrogates too, the store can write it again without a loss elsewhere."""
    read = read_json(json.dumps(value).encode())
    assert orjson.loads(orjson.dumps(read)) == read
    if "\\ud" not in json.dumps(value):
        assert read == value


@given(st.binary(max_size=200))
def test_bytes_are_read_or_refused(raw: bytes) -> None:
    """Bytes of any kind give a value or JsonError, nothing else."""
    with suppress(JsonError):
        orjson.dumps(read_json(raw))


@pytest.mark.parametrize("raw", [b"NaN", b"[1, Infinity]", b"-Infinity", b"", b"[1,]", b"\xff\xfe", b"[" * 100_000])
def test_not_json(raw: bytes) -> None:
    """NaN, trailing commas, other encodings and endless nesting are refused."""
    with pytest.raises(JsonError):
        read_json(raw)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b'{"a":1,"a":2}', {"a": 2}),
        (b'"\\ud83d\\ude00 \\ud83d"', "\U0001f600 \ufffd"),
        (b'["caf\xe9"]', ["caf\ufffd"]),
        (b"\xef\xbb\xbf[1]", [1]),
    ],
)
def test_odd_json(raw: bytes, value: Any) -> None:
    """The last of a repeated key counts; what is no Unicode becomes U+FFFD; a byte order mark does not matter."""
    assert read_json(raw) == value
