"""Whether addresses are the Internet's."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

_LONGEST_ADDRESS = 64  # characters; what is longer is none, and is not remembered


def is_public(address: str | None) -> bool:
    """Whether an address is one of the Internet's."""
    return address is not None and len(address) <= _LONGEST_ADDRESS and _is_global(address)


@lru_cache(maxsize=8192)
def _is_global(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:
        return False
