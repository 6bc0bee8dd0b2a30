"""Forms as browsers send them: fields as text, bounded while they are read."""

from __future__ import annotations

from urllib.parse import parse_qsl

import anyio
from starlette.exceptions import HTTPException
from starlette.requests import Request

LARGEST = 4 * 1024 * 1024  # bytes, room for an OpenAPI document
PATIENCE = 30.0  # seconds in which a form must be here
_DRAINED = 2 * LARGEST
_FIELDS = 1000


class Form:
    """The fields of a form; one that is missing is empty."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = pairs

    def get(self, name: str) -> str:
        """The first value of a field."""
        return next((value for key, value in self._pairs if key == name), "")

    def all(self, name: str) -> list[str]:
        """All values of a field."""
        return [value for key, value in self._pairs if key == name]


async def read_form(request: Request, largest: int = LARGEST, seconds: float = PATIENCE) -> Form:
    """The form in a request's body. Raises HTTPException 400, 408, 413 or 415."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise HTTPException(415, "a form is expected, as application/x-www-form-urlencoded")
    try:
        with anyio.fail_after(seconds):
            return Form(_parse(await _read(request, largest)))
    except TimeoutError:
        raise HTTPException(408, f"the form was not here within {seconds:g} seconds") from None


async def _read(request: Request, largest: int) -> bytes:
    """The body. Some of what is too much is read and dropped, so that the browser gets to read the answer."""
    body, size = bytearray(), 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= largest:
            body += chunk
        elif size > _DRAINED:
            break
    if size > largest:
        raise HTTPException(413, f"a form has at most {largest:,} bytes here")
    return bytes(body)


def _parse(body: bytes) -> list[tuple[str, str]]:
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="replace", max_num_fields=_FIELDS)
    except ValueError:
        raise HTTPException(400, f"this is no form, or one of more than {_FIELDS:,} fields") from None
    return [(name, value.replace("\r\n", "\n").replace("\0", "\ufffd")) for name, value in pairs]
