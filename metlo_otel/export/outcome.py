"""What became of a batch that was sent."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sent:
    """The collector took the batch."""


@dataclass(frozen=True, slots=True)
class TryLater:
    """The collector could not take it now: `why` in a few words, `after` seconds when it said so.

    `answered` tells a collector that said so from one that could not be reached, or says nothing.
    """

    why: str
    after: float | None = None
    answered: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """The collector will not take it at all."""

    status: int


Outcome = Sent | TryLater | Refused
