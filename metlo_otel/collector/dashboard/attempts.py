"""How often somebody may try to log in: few times from one place, and not without end at one account.

A browser that has logged in before is known by a cookie and counts for itself, so that nobody who guesses, from however
many addresses, keeps out those who were here before ("device cookies", OWASP).
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from metlo_otel.collector.dashboard.access import Keyring
from metlo_otel.core.addresses import network_of, normalise

WINDOW = 300.0  # seconds
PER_PLACE = 5
PER_ACCOUNT = 100  # by browsers that are not known
_REMEMBERED = 20_000  # failures; beyond, the oldest are forgotten
_PURPOSE = "known browser"


@dataclass(frozen=True, slots=True)
class Attempt:
    """Somebody who tries `account`: `place` is a network, or a browser that is `known`."""

    place: str
    account: str
    known: bool = False

    @classmethod
    def of(cls, ring: Keyring | None, address: str, account: str, cookie: str) -> Attempt:
        """An attempt from an address, with the cookie of a known browser, if it is one of this account."""
        browser, _, tag = cookie.partition(".")
        if ring is not None and browser and ring.is_signed(_PURPOSE, f"{browser} {account}", tag):
            return cls(browser, account, True)
        return cls(network_of(normalise(address.partition("%")[0]), 64), account)


def known_browser(ring: Keyring, account: str) -> str:
    """A cookie by which a browser is known at one account."""
    browser = secrets.token_hex(12)
    return f"{browser}.{ring.sign(_PURPOSE, f'{browser} {account}')}"


class Attempts:
    """Failed logins of the last minutes. Each process counts for itself, which multiplies the limits."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failed: deque[tuple[float, Attempt]] = deque(maxlen=_REMEMBERED)

    def wait(self, attempt: Attempt) -> int:
        """Seconds until this may be tried; 0: now."""
        now = self._clock()
        while self._failed and self._failed[0][0] <= now - WINDOW:
            self._failed.popleft()
        here = [when for when, other in self._failed if (other.place, other.known) == (attempt.place, attempt.known)]
        if attempt.known:
            return _until_free(here, PER_PLACE, now)
        there = [when for when, other in self._failed if other.account == attempt.account and not other.known]
        return max(_until_free(here, PER_PLACE, now), _until_free(there, PER_ACCOUNT, now))

    def failed(self, attempt: Attempt) -> tuple[float, Attempt]:
        """Note a wrong password; the note can be forgotten."""
        note = (self._clock(), attempt)
        self._failed.append(note)
        return note

    def forget(self, note: tuple[float, Attempt]) -> None:
        """The password was right after all."""
        if note in self._failed:
            self._failed.remove(note)


def _until_free(times: list[float], limit: int, now: float) -> int:
    return 0 if len(times) < limit else int(times[-limit] + WINDOW - now) + 1
