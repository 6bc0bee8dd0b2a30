"""Credentials of HTTP's Basic scheme (RFC 7617), as frameworks read them."""

from __future__ import annotations

import base64
import binascii

_LONGEST = 8192  # characters


def basic(value: str) -> tuple[str, str] | None:
    """Name and password in an Authorization header's value; None where it has another scheme, or is none."""
    scheme, _, rest = value.strip().partition(" ")
    if scheme.lower() != "basic" or len(rest) > _LONGEST:
        return None
    try:
        name, _, password = base64.b64decode(rest).decode("utf-8", "replace").partition(":")
    except (binascii.Error, ValueError):
        return None
    return name, password
