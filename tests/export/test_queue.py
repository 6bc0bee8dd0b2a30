"""The queue between requests and worker: which exchanges leave when there is no room, and what is counted of them."""

from __future__ import annotations

import threading
import time

import pytest

from metlo_otel.core.counters import Counters
from metlo_otel.core.exchange import Exchange
from metlo_otel.export.queue import ExchangeQueue
from tests.export.exchanges import wsgi_exchange

MANY, ROOMY = 1_000, 1_000_000_000


def put(queue: ExchangeQueue, *numbers: int, size: int = 0) -> None:
    for number in numbers:
        queue.put(wsgi_exchange(b"x" * size, PATH_INFO=f"/{number}", max_body=100_000))


def paths(exchanges: list[Exchange]) -> list[str]:
    return [exchange.request.path for exchange in exchanges]


def made(
    counters: Counters, most: int = MANY, most_bytes: int = ROOMY, batch: tuple[int, int] = (MANY, ROOMY)
) -> ExchangeQueue:
    return ExchangeQueue(counters, most, most_bytes, batch)


def held(queue: ExchangeQueue) -> int:
    """What the waiting exchanges hold, counted anew."""
    return sum(exchange.memory() for exchange in queue.waiting)


def test_the_oldest_leave_when_there_are_too_many() -> None:
    """A full queue keeps the newest exchanges, in their order, and counts those that left."""
    counters = Counters()
    queue = made(counters, most=3)
    put(queue, 1, 2, 3)
    assert dict(counters.stats().dropped) == {}
    put(queue, 4, 5)
    assert paths(list(queue.waiting)) == ["/3", "/4", "/5"]
    assert (counters.captured, dict(counters.stats().dropped)) == (5, {"queue_full": 2})
    assert queue.bytes == held(queue)


def test_the_oldest_leave_when_there_are_too_many_bytes() -> None:
    """As many of the oldest leave as the newest needs room, and no more; exactly what may be held is held."""
    counters = Counters()
    one = wsgi_exchange(b"", PATH_INFO="/1").memory()
    queue = made(counters, most_bytes=3 * one + 10)
    put(queue, 1, 2, 3)
    assert len(queue) == 3
    put(queue, 4, size=10)
    assert paths(list(queue.waiting)) == ["/2", "/3", "/4"]
    assert queue.bytes == held(queue) == 3 * one + 10
    put(queue, 5, size=2 * one)
    assert paths(list(queue.waiting)) == ["/5"]
    assert (counters.captured, dict(counters.stats().dropped)) == (5, {"queue_full": 4})
    assert queue.bytes == held(queue)


def test_one_that_never_fits_leaves_itself() -> None:
    """An exchange larger than the queue may be pushes nobody out; one that is just as large is kept."""
    counters = Counters()
    one = wsgi_exchange(b"", PATH_INFO="/1").memory()
    queue = made(counters, most_bytes=2 * one)
    put(queue, 1)
    put(queue, 2, size=one + 1)
    assert (paths(list(queue.waiting)), queue.bytes) == (["/1"], one)
    put(queue, 3, size=one)
    assert (paths(list(queue.waiting)), queue.bytes) == (["/3"], 2 * one)
    assert dict(counters.stats().dropped) == {"queue_full": 2}


@pytest.mark.parametrize(
    ("most", "batch", "size", "woken"),
    [
        (MANY, (3, ROOMY), 0, [True, False, True]),
        (2, (3, ROOMY), 0, [True, True, True]),
        (MANY, (MANY, 5_000), 1_000, [True, True, True]),
    ],
)
def test_the_worker_is_woken_for_the_first_and_for_a_batch(
    most: int, batch: tuple[int, int], size: int, woken: list[bool]
) -> None:
    """The worker is woken by the first that waits, then by as many exchanges, or as many bytes, as make a batch."""
    queue = made(Counters(), most=most, batch=batch)
    assert [queue.put(wsgi_exchange(b"x" * size)) for _ in woken] == woken


def test_what_is_taken_is_the_oldest_and_in_flight_until_done() -> None:
    """A batch holds the oldest exchanges that fit, at least one; what is taken is no longer held but in flight."""
    queue = made(Counters())
    put(queue, 1, 2, 3, 4)
    assert paths(queue.take(2, ROOMY)) == ["/1", "/2"]
    assert (len(queue), queue.in_flight, queue.bytes) == (2, 2, held(queue))
    assert paths(queue.take(MANY, 1)) == ["/3"]
    assert queue.in_flight == 1
    one = queue.waiting[0].memory()
    put(queue, 5)
    assert paths(queue.take(MANY, 2 * one)) == ["/4", "/5"]
    assert (len(queue), queue.bytes) == (0, 0)
    assert queue.take(MANY, ROOMY) == []
    assert queue.in_flight == 0


def test_empty_means_that_nothing_waits_and_nothing_is_in_flight() -> None:
    """Who waits for the end waits for what was taken, too, and not beyond the time that was given."""
    queue = made(Counters())
    assert queue.wait_empty(time.monotonic())
    put(queue, 1)
    assert not queue.wait_empty(time.monotonic() + 0.01)
    queue.take(1, ROOMY)
    assert not queue.wait_empty(time.monotonic() + 0.01)
    queue.done()
    assert queue.wait_empty(time.monotonic())
    put(queue, 2)
    queue.clear()
    assert (len(queue), queue.bytes, queue.in_flight, queue.wait_empty(time.monotonic())) == (0, 0, 0, True)


def test_a_batch_holds_no_more_bytes_than_asked_for() -> None:
    """The one that would be too many stays, whatever the sizes."""
    queue = made(Counters())
    one = wsgi_exchange(b"", PATH_INFO="/1").memory()
    put(queue, 1, 2, 3, 4)
    assert paths(queue.take(MANY, 2 * one + 1)) == ["/1", "/2"]
    assert paths(queue.take(MANY, 2 * one - 1)) == ["/3"]


def test_who_waits_for_the_end_is_told_at_once() -> None:
    """A flush goes on when the last exchange is dealt with, not when its time is up."""
    queue = made(Counters())
    put(queue, 1)
    queue.take(1, ROOMY)
    ended: list[bool] = []
    waiting = threading.Thread(target=lambda: ended.append(queue.wait_empty(time.monotonic() + 60)), daemon=True)
    waiting.start()
    while not queue._empty._waiters:  # type: ignore[attr-defined]  # nothing else tells that it has begun to wait
        time.sleep(0.001)
    assert ended == []
    queue.done()
    waiting.join(5)
    assert ended == [True]
