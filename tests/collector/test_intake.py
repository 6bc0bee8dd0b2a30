"""Bodies within limits."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metlo_otel.collector.intake import MAX_BODY, Budget, RefusedError, check_headers, find_decoder, read_body


def _read(chunks: list[bytes], encoding: str = "", budget: Budget | None = None) -> bytes:
    async def stream() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    decoder = find_decoder({"content-encoding": encoding})
    return asyncio.run(read_body(stream(), decoder, (budget or Budget()).share()))


def _cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def _raw_deflate(data: bytes) -> bytes:
    return zlib.compress(data)[2:-4]


@given(st.binary(max_size=500), st.integers(1, 40))
def test_any_cut_gives_the_same_body(data: bytes, size: int) -> None:
    """However the network cuts a body, plain or in any of the encodings, the same bytes come out."""
    assert _read(_cut(data, size)) == data
    assert _read(_cut(gzip.compress(data), size), "gzip") == data
    assert _read(_cut(gzip.compress(data[:9]) + gzip.compress(data[9:]), size), "GZIP") == data
    assert _read(_cut(zlib.compress(data), size), "deflate") == data
    assert _read(_cut(_raw_deflate(data), size), "deflate") == data


@given(st.binary(min_size=1, max_size=300), st.sampled_from(["gzip", "deflate"]))
def test_garbage_is_refused_in_words(data: bytes, encoding: str) -> None:
    """Bytes that are not what Content-Encoding says are refused with 400, never with another error."""
    with pytest.raises(RefusedError) as refused:
        _read([b"\0", data], encoding)
    assert refused.value.status == 400
    assert refused.value.reason


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_body_that_ends_in_the_middle(encoding: str) -> None:
    """A compressed body that was cut off is refused."""
    packed = (gzip if encoding == "gzip" else zlib).compress(b"x" * 10_000)
    with pytest.raises(RefusedError, match="ends in the middle"):
        _read([packed[:-6]], encoding)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_bomb_stays_small(encoding: str) -> None:
    """100 MB of zeros in 100 KB are refused with 413, and never more than a few times the limit is in memory."""
    bomb = (gzip if encoding == "gzip" else zlib).compress(bytes(100_000_000))
    tracemalloc.start()
    with pytest.raises(RefusedError) as refused:
        _read([bomb], encoding)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert refused.value.status == 413
    assert peak < 4 * MAX_BODY


@pytest.mark.parametrize(("size", "fits"), [(MAX_BODY, True), (MAX_BODY + 1, False)])
@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_the_limit_is_exact(size: int, fits: bool, encoding: str) -> None:
    """A body of 2,097,152 decoded bytes is taken, one more is not."""
    data = gzip.compress(bytes(size)) if encoding else bytes(size)
    if fits:
        assert len(_read([data], encoding)) == size
    else:
        with pytest.raises(RefusedError):
            _read([data], encoding)


def test_empty_members_do_not_go_on_for_ever() -> None:
    """Members that decode to nothing count by their raw bytes."""
    with pytest.raises(RefusedError) as refused:
        _read(_cut(gzip.compress(b"") * 120_000, 65_536), "gzip")
    assert refused.value.status == 413


def test_the_house_is_full() -> None:
    """Bodies beyond the budget get 503, and what was taken of the budget is given back."""
    budget = Budget(1000)
    share = budget.share()
    share.take(600)
    with pytest.raises(RefusedError) as refused:
        _read([bytes(500)], budget=budget)
    assert refused.value.status == 503
    share.release()
    share.release()
    assert budget.used == 0


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "application/json; charset=utf-8"}, None),
        ({"content-type": "Application/JSON", "content-length": str(MAX_BODY)}, None),
        ({"content-type": "text/plain"}, 415),
        ({}, 415),
        ({"content-type": "application/json", "content-length": "99999999999999999999"}, 413),
        ({"content-type": "application/json", "content-length": "-1"}, None),
    ],
)
def test_headers(headers: Mapping[str, str], status: int | None) -> None:
    """Only JSON is taken, and what says that it is too long is refused before it is read."""
    if status is None:
        check_headers(headers)
    else:
        with pytest.raises(RefusedError) as refused:
            check_headers(headers)
        assert refused.value.status == status


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, deflate", "x" * 5000])
def test_unknown_encodings(encoding: str) -> None:
    """Other encodings are 415, and the answer stays short."""
    with pytest.raises(RefusedError) as refused:
        find_decoder({"content-encoding": encoding})
    assert refused.value.status == 415
    assert len(refused.value.reason) < 200
