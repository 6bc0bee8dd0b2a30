"""The ids of spans that exchanges have joined, kept within bounds."""

from __future__ import annotations

import time

import pytest
from opentelemetry.trace import SpanContext

from metlo_otel.core.tracing import RecentSpans


def context(number: int) -> SpanContext:
    return SpanContext(trace_id=number << 64 | 1, span_id=number, is_remote=False)


def test_keeps_the_last_ones_within_bounds() -> None:
    """However many spans are noted, no more than `most` are held, and the last half of them are."""
    recent = RecentSpans(most=10)
    for number in range(1, 200):
        recent.add(number << 64 | 1, number)
        assert len(recent) <= 10
        assert all(context(known) in recent for known in range(max(1, number - 4), number + 1))
    assert context(1) not in recent


def test_forgets_with_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A span that was noted long ago is not known any more: its id may be somebody else's by then."""
    recent = RecentSpans(seconds=900.0)
    recent.add(1 << 64 | 1, 1)
    assert context(1) in recent
    later = time.monotonic() + 901.0
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert context(1) not in recent
