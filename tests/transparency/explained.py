"""Tests of the frameworks that end otherwise with the agent, and why that is right."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Explained:
    """A difference that is no fault: of the tests whose name matches `test`, in a mode and positions, or in all."""

    suite: str
    test: str
    reason: str
    mode: str = ""
    positions: tuple[str, ...] = ()


EXPLAINED: tuple[Explained, ...] = ()
