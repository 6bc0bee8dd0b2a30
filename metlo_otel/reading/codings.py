"""Content-Encoding undone, within bounds: the one inflater of the package."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

_KNOWN = frozenset({"gzip", "x-gzip", "deflate"})
_GZIP = b"\x1f\x8b"
_MOST = 3  # codings one in the other


def codings(values: Iterable[str]) -> list[str]:
    """The codings that Content-Encoding headers name, in their order, without those that change nothing."""
    named = [part.strip().lower() for value in values for part in value.split(",")]
    return [coding for coding in named if coding not in ("", "identity")]


def undo(data: bytes, applied: list[str], limit: int) -> tuple[bytes, bool] | None:
    """At most `limit` bytes of what was encoded, and whether there are more; None where it cannot be undone.

    gzip and deflate are read, the latter also without zlib's header, up to three in one another.
    """
    if len(applied) > _MOST or not _KNOWN.issuperset(applied):
        return None
    cut = False
    for _ in applied:
        unpacked = _inflate(data, limit)
        if unpacked is None:
            return None
        data, more = unpacked
        cut = cut or more
    return data, cut


def _inflate(data: bytes, limit: int) -> tuple[bytes, bool] | None:
    for window in (zlib.MAX_WBITS | 32, -zlib.MAX_WBITS):  # gzip or zlib by their header, else raw deflate
        stream = zlib.decompressobj(window)
        try:
            kept = stream.decompress(data, limit + 1)
        except zlib.error:
            continue
        ended = stream.eof
        while stream.unused_data[:2] == _GZIP and len(kept) <= limit:  # another member behind the first (RFC 1952)
            rest, stream = stream.unused_data, zlib.decompressobj(window)
            try:
                kept += stream.decompress(rest, limit + 1 - len(kept))
            except zlib.error:
                return kept[:limit], True
            ended = stream.eof
        return kept[:limit], len(kept) > limit or not ended
    return None
