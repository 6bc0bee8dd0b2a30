"""What is left of a Django request's body that a middleware further out has read."""

from __future__ import annotations

from typing import Any

from metlo_otel.core.exchange import Exchange
from metlo_otel.reading.multipart import boundaries, written

NOT_KEPT = "read_before"
"""The reason for `incomplete` where Django has not kept all of what was read."""


def note_read(request: Any, exchange: Exchange) -> bool:
    """Note what Django has kept of a body that is read already; whether one is.

    `request.body` has all of it. Of a multipart form that `request.POST` was asked of, texts and the names of files are
    left; of what `request.read()` took, nothing is.
    """
    kept = vars(request)
    if "_body" in kept:
        exchange.request_body.add(kept["_body"])
        return True
    if not kept.get("_read_started"):
        return False
    fields, files = kept.get("_post"), kept.get("_files")
    if fields or files:
        exchange.request_body.add(_form(request, fields or {}, files or {}, exchange.request_body.most))
    if files or not fields:
        exchange.note(NOT_KEPT)
    return True


def _form(request: Any, fields: Any, files: Any, most: int) -> bytes:
    """The form as a client may have sent it, no longer than `most` bytes ask for."""
    found: list[tuple[str, str | None, str]] = []
    room = most
    for name, value in [(name, value) for name, all_ in fields.lists() for value in all_] if fields else ():
        found.append((str(name), None, str(value)))
        room -= len(value)
        if room < 0:
            break
    for name, all_ in files.lists() if files else ():
        found += [(str(name), str(file.name), "") for file in all_]
    named = boundaries(str(request.META.get("CONTENT_TYPE", "")))
    return written(found, named[0] if named else b"form")
