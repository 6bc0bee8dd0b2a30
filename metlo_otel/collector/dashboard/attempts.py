"""How often somebody may try to log in: few times from one address, and not without end from all of them together."""

from __future__ import annotations

import ipaddress
import time
from collections import deque
from collections.abc import Callable

WINDOW = 300.0  # seconds
PER_ADDRESS = 5
ALTOGETHER = 100


class Attempts:
    """Failed logins of the last minutes. Each process counts for itself, which multiplies the limits."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: deque[tuple[float, str]] = deque()

    def wait(self, address: str) -> int:
        """Seconds until this address may try again; 0: now."""
        now = self._clock()
        while self._failed and self._failed[0][0] <= now - WINDOW:
            self._failed.popleft()
        network = _network(address)
        own = [when for when, who in self._failed if who == network]
        waits = [_until_free(own, PER_ADDRESS, now), _until_free([when for when, _ in self._failed], ALTOGETHER, now)]
        return max(waits)

    def failed(self, address: str) -> tuple[float, str]:
        """Note a wrong password; the note can be forgotten."""
        note = (self._clock(), _network(address))
        self._failed.append(note)
        return note

    def forget(self, note: tuple[float, str]) -> None:
        """The password was right after all."""
        if note in self._failed:
            self._failed.remove(note)


def _until_free(times: list[float], limit: int, now: float) -> int:
    return 0 if len(times) < limit else int(times[-limit] + WINDOW - now) + 1


def _network(address: str) -> str:
    """The address, or for IPv6 its /64, of which one client has all."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv6Address):
        mapped = found.ipv4_mapped
        return str(mapped) if mapped else str(ipaddress.ip_network((int(found) >> 64 << 64, 64)))
    return str(found)
