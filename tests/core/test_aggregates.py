"""Sums of requests: nothing is lost, whatever hosts, paths or methods clients invent, and the app's endpoints stay."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from metlo_otel.core.aggregates import Aggregates, Key, document, overflow_key
from metlo_otel.core.histogram import read_histogram

ITEM = Key("shop.example", "GET", "/items/{id}", None, 200)
MISSING = Key("shop.example", "GET", None, None, 404)


def _invented(number: int) -> Key:
    return Key(f"host{number}", "GET", None, f"/{number}", 404)


def test_calls_add_up() -> None:
    """Calls, sizes, blocks and latencies of a key are the sums of what was added, from many threads at once."""
    aggregates = Aggregates()

    def some(_: int) -> None:
        for number in range(1, 101):
            aggregates.add(ITEM, number, 10, 20, blocked=number % 10 == 0)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(some, range(8)))
    taken = aggregates.take()
    series = taken.series[ITEM]
    assert (series.calls, series.blocked, series.request_bytes, series.response_bytes) == (800, 80, 8000, 16000)
    latency = series.latency
    assert (latency.count, latency.sum, latency.min, latency.max) == (800, 8 * 5050, 1, 100)
    assert aggregates.take().calls == 0


@given(st.integers(0, 5000))
def test_inventions_overflow_and_are_counted(invented: int) -> None:
    """However many paths a client invents: bounded series, each call counted, the app's own series whole."""
    aggregates = Aggregates(most=100)
    for number in range(invented):
        aggregates.add(_invented(number), 1, 0, 0, blocked=False)
    for number in range(60):
        aggregates.add(ITEM._replace(route=f"/items/{number}"), 1, 0, 0, blocked=False)
    taken = aggregates.take()
    assert taken.calls == invented + 60
    assert len(taken.series) <= 101
    assert all(ITEM._replace(route=f"/items/{number}") in taken.series for number in range(60))
    overflow = taken.series.get(overflow_key("GET"))
    assert taken.overflown == (overflow.calls if overflow else 0) == max(invented - 25, 0)


def test_a_genuine_series_is_known_again() -> None:
    """A path without a route that answered well keeps its place when it fails, though inventions came first."""
    aggregates = Aggregates(most=40)
    page = Key("shop.example", "GET", None, "/page", 200)
    aggregates.add(page, 1, 0, 0, blocked=False)
    aggregates.take()
    for number in range(1000):
        aggregates.add(_invented(number), 1, 0, 0, blocked=False)
    aggregates.add(page, 1, 0, 0, blocked=False)
    assert aggregates.take().series[page].calls == 1


def test_actors_are_bounded() -> None:
    """A flood of addresses is counted as such, and those who were there first keep their counts."""
    aggregates = Aggregates(most_actors=10)
    for number in range(30):
        aggregates.add_actor("address", f"10.0.0.{number}", 200 + 100 * (number % 4), blocked=number == 3)
    taken = aggregates.take()
    assert len(taken.actors) == 10
    assert taken.actors_overflown == 20
    assert taken.actors["address", "10.0.0.3"].server_errors == taken.actors["address", "10.0.0.3"].blocked == 1
    assert taken.actors["address", "10.0.0.2"].client_errors == 1


def test_what_could_not_be_sent_is_counted_again() -> None:
    """After an outage the sums are those of all the time, and stay bounded."""
    aggregates = Aggregates(most=40, most_actors=2)
    for key in (ITEM, MISSING):
        aggregates.add(key, 5, 1, 2, blocked=False)
    aggregates.add_actor("address", "10.0.0.1", 200, blocked=False)
    taken = aggregates.take()
    aggregates.add(ITEM, 7, 1, 2, blocked=True)
    aggregates.add_actor("address", "10.0.0.1", 404, blocked=True)
    aggregates.add_actor("address", "10.0.0.2", 200, blocked=False)
    aggregates.put_back(taken)
    again = aggregates.take()
    assert (again.calls, again.series[ITEM].calls, again.series[ITEM].blocked) == (3, 2, 1)
    assert (again.series[ITEM].least, again.series[ITEM].most, again.series[ITEM].latency.count) == (5, 7, 2)
    actor = again.actors["address", "10.0.0.1"]
    assert (actor.calls, actor.client_errors, actor.blocked) == (2, 1, 1)


def test_a_long_outage_stays_bounded() -> None:
    """Sums of ever new keys put back again and again: the number of series is bounded, no call is lost."""
    aggregates = Aggregates(most=50, most_actors=5)
    for second in range(20):
        for number in range(30):
            aggregates.add(ITEM._replace(route=f"/{second}/{number}"), 1, 0, 0, blocked=False)
            aggregates.add_actor("address", f"10.{second}.0.{number}", 200, blocked=False)
        aggregates.put_back(aggregates.take())
    taken = aggregates.take()
    assert len(taken.series) <= 51
    assert taken.calls == 600
    assert len(taken.actors) == 5
    assert taken.actors_overflown + sum(actor.calls for actor in taken.actors.values()) == 600


def test_the_wire_tells_all_of_it() -> None:
    """Each number that was counted, and a histogram that can be read back."""
    aggregates = Aggregates()
    key = Key("shop.example", "POST", "/items/{id}", None, 201, "application/json", "text/html", "bearer", "public")
    aggregates.add(key, 300, 10, 20, blocked=True)
    aggregates.add_actor("address", "10.0.0.1", 201, blocked=True)
    told = document(aggregates.take(), 1000, 2000, "test", "shop")
    (series,) = told["series"]
    assert read_histogram(series.pop("latency")).quantile(0.5) == 300
    assert series == {
        "host": "shop.example",
        "method": "POST",
        "route": "/items/{id}",
        "path": None,
        "status": 201,
        "requestType": "application/json",
        "responseType": "text/html",
        "authentication": "bearer",
        "source": "public",
        "calls": 1,
        "blocked": 1,
        "requestBytes": 10,
        "responseBytes": 20,
    }
    actor = {"kind": "address", "value": "10.0.0.1", "calls": 1, "clientErrors": 0, "serverErrors": 0, "blocked": 1}
    assert told["actors"] == [actor]
    assert (told["version"], told["started"], told["ended"], told["environment"], told["service"]) == (
        1, 1000, 2000, "test", "shop",
    )  # fmt: skip
