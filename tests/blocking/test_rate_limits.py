"""Sliding windows: exactly the threshold passes, then the client is out for the duration; in both local
stores.
"""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metlo_otel.blocking.policy import Policy
from metlo_otel.blocking.rate_limits import CELLS, Limit, LocalStore, Store
from metlo_otel.blocking.rules import INTERVALS, RateLimit
from metlo_otel.blocking.shared_store import SharedStore
from metlo_otel.core.exchange import Exchange
from tests.blocking.exchanges import (
    NOW,
    client,
    condition,
    either,
    every,
    exchange,
    parsed,
    refused,
    wire,
    wire_limit,
)
from tests.profiles import examples

LOGIN = every(condition("path", "eq", "/login"))


@pytest.fixture(params=["local", "shared"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made: Store = LocalStore() if request.param == "local" else SharedStore(tmp_path / "counts", refused, slots=64)
    yield made
    made.close()


def limit(threshold: int, interval: float = 60, duration: float = 30, rule: str = "rule") -> Limit:
    return Limit.of(rule, RateLimit(threshold, interval, duration))


def passes(store: Store, numbers: Limit, times: int, now: float, key: str = "client") -> int:
    return sum(store.hit(numbers, key, now) == 0 for _ in range(times))


@pytest.mark.parametrize("threshold", [1, 3, CELLS - 1, CELLS, CELLS + 1, 100, 1000])
def test_exactly_the_threshold_passes(store: Store, threshold: int) -> None:
    """Of many requests at once exactly the threshold passes; after the interval again."""
    numbers = limit(threshold, duration=0)
    assert passes(store, numbers, threshold + 50, NOW) == threshold
    assert passes(store, numbers, 50, NOW + 59.9) == 0
    assert passes(store, numbers, threshold + 50, NOW + 60) == threshold


def test_out_for_the_duration(store: Store) -> None:
    """Who is over the threshold is out for the duration, told how long, and pays nothing for asking
    meanwhile.
    """
    numbers = limit(3, interval=60, duration=600)
    assert passes(store, numbers, 3, NOW) == 3
    assert store.hit(numbers, "client", NOW + 1) == 600
    assert store.hit(numbers, "client", NOW + 101) == pytest.approx(500)
    assert store.hit(numbers, "client", NOW + 600.5) == pytest.approx(0.5)
    assert passes(store, numbers, 5, NOW + 601) == 3


def test_a_duration_shorter_than_the_interval(store: Store) -> None:
    """Back before the interval is over, the client is over the threshold still."""
    numbers = limit(3, interval=60, duration=10)
    assert passes(store, numbers, 3, NOW) == 3
    assert store.hit(numbers, "client", NOW + 1) == 10
    assert store.hit(numbers, "client", NOW + 12) == 10
    assert passes(store, numbers, 5, NOW + 60) == 3


def test_the_window_slides(store: Store) -> None:
    """Each request counts for one interval, not until the minute turns."""
    numbers = limit(2, duration=0)
    assert store.hit(numbers, "client", NOW) == 0
    assert store.hit(numbers, "client", NOW + 40) == 0
    assert store.hit(numbers, "client", NOW + 59) == pytest.approx(1)
    assert store.hit(numbers, "client", NOW + 60) == 0
    assert store.hit(numbers, "client", NOW + 70) == pytest.approx(30)


def test_clients_and_limits_have_their_own_windows(store: Store) -> None:
    """Nobody pays for another client or another rule; a rule with new numbers starts afresh."""
    assert passes(store, limit(1), 2, NOW, "a") == 1
    assert passes(store, limit(1), 2, NOW, "b") == 1
    assert passes(store, limit(1, rule="other"), 2, NOW, "a") == 1
    assert passes(store, limit(2), 3, NOW, "a") == 2
    assert passes(store, limit(1), 1, NOW, "a") == 0


def test_check_does_not_count(store: Store) -> None:
    """Asking counts nothing, but who is full and asks is out from then on."""
    numbers = limit(2, duration=100)
    assert [store.check(numbers, "client", NOW) for _ in range(5)] == [0] * 5
    assert passes(store, numbers, 2, NOW) == 2
    assert store.check(numbers, "client", NOW + 50) == 100
    assert store.hit(numbers, "client", NOW + 100) == pytest.approx(50)


def test_threads_share_a_threshold(store: Store) -> None:
    """Eight threads of one process let exactly the threshold pass."""
    numbers, start = limit(100, duration=600), threading.Barrier(8)

    def work(_: int) -> int:
        start.wait(30)
        return passes(store, numbers, 50, NOW)

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, range(8))) == 100


def test_a_clock_set_back_locks_nobody_out(store: Store) -> None:
    """After the clock went back by an hour, the client is counted from then on."""
    numbers = limit(2)
    assert passes(store, numbers, 3, NOW) == 2
    assert passes(store, numbers, 3, NOW - 3600) == 2


STEPS = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 5)), max_size=60)


@pytest.mark.parametrize("duration", [0, 15])
@settings(max_examples=examples(120), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(threshold=st.integers(1, 6), steps=STEPS)
def test_as_a_list_of_times(tmp_path: Path, duration: int, threshold: int, steps: list[tuple[int, int]]) -> None:
    """Both stores answer as the plain definition over all times that passed."""
    numbers = limit(threshold, 60, duration)
    shared = SharedStore(tmp_path / "counts", refused, slots=8)
    stores: list[Store] = [LocalStore(), shared]
    key, now, until, passed = f"{steps}", NOW, 0.0, list[float]()
    for pause, times in steps:
        now += pause
        for _ in range(times):
            free = now >= until and sum(time > now - 60 for time in passed) < threshold
            if now >= until and not free:
                until = now + duration
            if free:
                passed.append(now)
            assert [made.hit(numbers, key, now) == 0 for made in stores] == [free, free]
    shared.close()


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    threshold=st.integers(CELLS + 1, 90),
    steps=st.lists(st.tuples(st.integers(0, 9), st.integers(1, 40)), max_size=50),
)
def test_a_large_threshold_is_never_exceeded(tmp_path: Path, threshold: int, steps: list[tuple[int, int]]) -> None:
    """With shared cells no interval lets more than the threshold pass, both stores agree, and no count is
    lost.
    """
    numbers = limit(threshold, 60, 0)
    shared = SharedStore(tmp_path / "counts", refused, slots=8)
    local, key, now, passed = LocalStore(), f"{steps}", NOW, list[float]()
    for pause, times in steps:
        now += pause
        for _ in range(times):
            free = local.hit(numbers, key, now) == 0
            assert (shared.hit(numbers, key, now) == 0) is free
            recent = sum(time > now - 60 for time in passed)
            older = sum(time > now - 60 - 60 / (CELLS - 1) for time in passed)
            assert recent < threshold if free else older >= threshold
            if free:
                passed.append(now)
    shared.close()


def test_any_number_of_clients_stays_within_64_mb() -> None:
    """The memory is bounded whatever number of addresses comes, also with every window full."""
    store = LocalStore()
    few, many = limit(5), limit(1000)
    tracemalloc.start()
    try:
        for number in range(100_000):
            store.hit(few, str(number), NOW)
        assert len(store) <= 32_768
        store.close()
        for number in range(2048):  # every cell taken: measured for a part, because it is slow
            for second in range(CELLS):
                store.hit(many, str(number), NOW + 2 * second)
        full = tracemalloc.get_traced_memory()[0] * 32_768 / len(store)
    finally:
        tracemalloc.stop()
    assert len(store) == 2048
    assert full < 64e6


def test_the_least_recently_seen_makes_room() -> None:
    """A full store forgets who was not seen for longest, and first who has nothing left to tell."""
    store = LocalStore(most=3)
    numbers = limit(1)
    for key in "abc":
        store.hit(numbers, key, NOW)
    assert store.hit(numbers, "a", NOW) > 0
    assert store.hit(numbers, "d", NOW) == 0
    assert store.hit(numbers, "a", NOW) > 0
    assert store.hit(numbers, "b", NOW) == 0
    for key in "xy":
        store.hit(numbers, key, NOW + 100)
    assert len(store) <= 3


def limited(item: dict[str, object], store: Store) -> Policy:
    return Policy(parsed(item), store)


def test_only_matching_requests_count_and_are_blocked(store: Store) -> None:
    """Requests beside the rule's conditions are neither counted nor blocked, also when the client is over."""
    policy = limited(wire_limit(2, LOGIN, by=["ip"]), store)
    for _ in range(5):
        assert not policy.decide(exchange("GET", "/other"), client(), NOW).blocked
    answers = [policy.decide(exchange("GET", "/login"), client(), NOW) for _ in range(3)]
    assert [verdict.blocked for verdict in answers] == [False, False, True]
    assert (answers[2].rule, answers[2].rate_limited, answers[2].retry_after) == ("limit", True, 30)
    assert not policy.decide(exchange("GET", "/other"), client(), NOW).blocked


@pytest.mark.parametrize(
    ("by", "same", "other"),
    [
        (["ip"], {"ip": "10.0.0.1", "user": "x"}, {"ip": "10.0.0.2"}),
        (["user"], {"ip": "10.0.0.9", "user": "bob"}, {"user": "eve"}),
        (["session"], {"ip": "10.0.0.9", "session": "key"}, {"session": "other"}),
        (
            ["ip", "user"],
            {"ip": "10.0.0.1", "user": "bob", "session": "x"},
            {"ip": "10.0.0.1", "user": "eve"},
        ),
    ],
)
def test_identifiers(store: Store, by: list[str], same: dict[str, str], other: dict[str, str]) -> None:
    """Each identifier has its own counter; several together are one client."""
    policy = limited(wire_limit(1, by=by), store)
    first = {"ip": "10.0.0.1", "user": "bob", "session": "key"}
    assert not policy.decide(exchange(), client(**first), NOW).blocked
    assert policy.decide(exchange(), client(**same), NOW).blocked
    assert not policy.decide(exchange(), client(**other), NOW).blocked


def test_no_identifier_is_one_counter(store: Store) -> None:
    """Without identifiers all clients share one counter."""
    policy = limited(wire_limit(2), store)
    answers = [policy.decide(exchange(), client(f"10.0.0.{n}"), NOW).blocked for n in range(3)]
    assert answers == [False, False, True]


def test_an_unknown_client_is_not_counted(store: Store) -> None:
    """Who is not known by what the rule counts by passes: nobody shares a counter of the unknown."""
    policy = limited(wire_limit(1, by=["ip", "user"]), store)
    assert not any(policy.decide(exchange(), client(user=user), NOW).blocked for user in (None, "", None))


@pytest.mark.parametrize("interval", INTERVALS)
def test_intervals(store: Store, interval: str) -> None:
    """Every interval's name means its seconds."""
    policy = limited(wire_limit(1, interval=interval, seconds=0), store)
    number, unit = interval.split("_")[1], interval.split("_")[0]
    seconds = int(number) * {"second": 1, "minute": 60, "hour": 3600}[unit]
    assert not policy.decide(exchange(), client(), NOW).blocked
    assert policy.decide(exchange(), client(), NOW + seconds - 0.5).blocked
    assert not policy.decide(exchange(), client(), NOW + seconds).blocked


def answered(policy: Policy, target: str, status: int, now: float) -> bool:
    """One request through decide and observe; whether it was let pass."""
    made: Exchange = exchange("POST", target)
    made.verdict = policy.decide(made, client(), now)
    made.status = 429 if made.verdict.blocked else status
    policy.observe(made, client(), now)
    return not made.verdict.blocked


@pytest.mark.parametrize(
    ("operator", "value", "counted", "ignored"),
    [("eq", 401, 401, 200), ("gt", 399, 401, 399), ("lt", 300, 204, 300), ("nt_eq", 200, 404, 200)],
)
def test_status_codes_count_on_the_response(
    store: Store, operator: str, value: int, counted: int, ignored: int
) -> None:
    """A limit on the status counts answers; exactly the threshold of them passes, then matching requests are
    blocked.
    """
    policy = limited(
        wire_limit(3, every(*LOGIN["conditions"], condition("status_code", operator, value)), by=["ip"]),
        store,
    )
    assert all(answered(policy, "/login", ignored, NOW) for _ in range(5))
    assert all(answered(policy, "/other", counted, NOW) for _ in range(5))
    assert [answered(policy, "/login", counted, NOW) for _ in range(5)] == [True] * 3 + [False] * 2
    assert not answered(policy, "/login", ignored, NOW + 1)
    assert answered(policy, "/other", counted, NOW)
    assert answered(policy, "/login", ignored, NOW + 60)


def test_status_in_a_one_group(store: Store) -> None:
    """Where a path or a status is enough, each request is counted once, when it is answered."""
    policy = limited(wire_limit(2, either(*LOGIN["conditions"], condition("status_code", "eq", 401))), store)
    assert [answered(policy, "/login", 200, NOW), answered(policy, "/x", 401, NOW)] == [True, True]
    assert not answered(policy, "/y", 200, NOW)


def test_an_unanswered_request_is_not_counted(store: Store) -> None:
    """Without a status (the client left) no status condition matches, not even nt_eq or lt."""
    conditions = [condition("status_code", "nt_eq", 200), condition("status_code", "lt", 300)]
    for number, asked in enumerate(conditions):
        policy = limited(wire_limit(1, every(asked), uuid=f"{number}"), store)
        assert all(answered(policy, "/", 0, NOW) for _ in range(3))


def test_a_blocked_request_costs_no_count(store: Store) -> None:
    """What a block rule rejects is not counted by limits."""
    rules = parsed(wire(every(condition("method", "eq", "PUT"))), wire_limit(1))
    policy = Policy(rules, store)
    assert [policy.decide(exchange("PUT"), client(), NOW).rule for _ in range(3)] == ["r"] * 3
    assert not policy.decide(exchange("GET"), client(), NOW).blocked
    assert policy.decide(exchange("GET"), client(), NOW).rule == "limit"


def test_the_answer_to_a_rejected_request_renews_nothing(store: Store) -> None:
    """Our own 429s are no answers of the app's: a client that goes on asking is out for the duration and no longer."""
    policy = limited(wire_limit(2, every(condition("status_code", "gt", 399)), seconds=30, by=["ip"]), store)
    assert [answered(policy, "/", 404, NOW + second) for second in (0, 1)] == [True, True]
    assert not any(answered(policy, "/", 404, NOW + second) for second in range(2, 32))
    assert not any(answered(policy, "/", 404, NOW + second) for second in range(33, 60))  # the window is still full
    assert answered(policy, "/", 404, NOW + 63)


def test_our_own_rejections_are_no_answers_of_the_apps(store: Store) -> None:
    """A limit on a status does not count the 403 that another rule gave, nor a 429 that is late."""
    rules = parsed(
        wire(every(condition("path", "eq", "/closed"))),
        wire_limit(1, every(condition("status_code", "gt", 399)), seconds=0, by=["ip"]),
    )
    policy = Policy(rules, store)
    assert not any(answered(policy, "/closed", 403, NOW) for _ in range(5))
    assert answered(policy, "/", 404, NOW)
    late = exchange()
    late.verdict = policy.decide(late, client(), NOW + 59)
    assert late.verdict.blocked
    late.status = 429
    policy.observe(late, client(), NOW + 61)  # the window is empty by now
    assert answered(policy, "/", 404, NOW + 61)
