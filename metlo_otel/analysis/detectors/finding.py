"""What a detector says: the category of an attack, how sure it is, and the fragment that made it say so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from metlo_otel.core.categories import Category

Confidence = Literal["high", "low"]

_FRAGMENT = 80


@dataclass(frozen=True, slots=True)
class Finding:
    """One attack in one value.

    `confidence` is "high" where hardly anything but an attack reads like this, so that a request may be
    blocked for it, and "low" where it is only worth reporting. `fragment` is at most 80 characters of the
    decoded value.
    """

    category: Category
    confidence: Confidence
    fragment: str


def high(category: Category, fragment: str) -> Finding:
    """A finding good enough to block a request."""
    return Finding(category, "high", fragment[:_FRAGMENT])


def low(category: Category, fragment: str) -> Finding:
    """A finding to report, not to block for."""
    return Finding(category, "low", fragment[:_FRAGMENT])
