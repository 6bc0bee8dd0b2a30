"""Counters shared by one machine's processes: exact across them, and no process can take them hostage."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import signal
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from metlo_otel.blocking import shared_store
from metlo_otel.blocking.policy import Policy
from metlo_otel.blocking.rate_limits import Limit, LocalStore
from metlo_otel.blocking.shared_store import SharedStore, shared_path
from metlo_otel.blocking.storage import open_store, open_users
from tests.blocking.exchanges import NOW, client, exchange, refused

LIMIT = Limit("rule", 100, 60, 600)


def count(path: Path, start: multiprocessing.synchronize.Barrier, results: multiprocessing.SimpleQueue[int]) -> None:
    """One worker: as many requests as it can, and how many passed; waiting long is no failure here."""
    shared_store.PATIENCE = 20.0  # type: ignore[attr-defined]  # of this process alone
    store = SharedStore(path, refused)
    start.wait(30)
    results.put(sum(store.hit(LIMIT, "client", NOW) == 0 for _ in range(200)))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_four_processes_share_a_threshold(tmp_path: Path, method: str) -> None:
    """Four workers with a threshold of 100 let exactly 100 of 800 requests pass."""
    context: Any = multiprocessing.get_context(method)
    start, results = context.Barrier(4), context.SimpleQueue()
    workers = [context.Process(target=count, args=(tmp_path / "counts", start, results)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert sum(results.get() for _ in workers) == 100


def test_a_store_opened_before_the_fork(tmp_path: Path) -> None:
    """Children of a preloading server share the store that was opened before them."""
    store = SharedStore(tmp_path / "counts", refused)
    assert store.hit(LIMIT, "client", NOW) == 0
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            passed = sum(store.hit(LIMIT, "client", NOW) == 0 for _ in range(20))
            os._exit(0 if passed == 20 else 1)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    assert sum(store.hit(LIMIT, "client", NOW) == 0 for _ in range(100)) == 19
    store.close()


def hold(path: Path) -> tuple[int, int]:
    """A process that holds the file's lock, and the end of a pipe that says so."""
    ready, told = os.pipe()
    child = os.fork()
    if child == 0:
        fd = os.open(path, os.O_RDWR)
        fcntl.flock(fd, fcntl.LOCK_EX)
        os.write(told, b"x")
        signal.pause()
    os.close(told)
    assert os.read(ready, 1) == b"x"
    return child, ready


def test_a_killed_holder_frees_the_lock_and_a_stopped_one_fails_open(tmp_path: Path) -> None:
    """While a process sits on the lock requests pass, told once; when it is killed they are counted again,
    told once.
    """
    messages: list[str] = []
    store = SharedStore(tmp_path / "counts", messages.append)
    numbers = Limit("rule", 1, 60, 60)
    child, ready = hold(tmp_path / "counts")
    try:
        assert [store.hit(numbers, "client", NOW) for _ in range(3)] == [0, 0, 0]
        (message,) = messages
        assert "is locked too long by another process; requests pass uncounted" in message
        began = time.perf_counter()
        assert [store.hit(numbers, "client", NOW) for _ in range(50)] == [0] * 50
        assert time.perf_counter() - began < 1.0  # of 50 ms only the first one waited
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(ready)
    assert [store.hit(numbers, "client", NOW) > 0 for _ in range(2)] == [False, True]
    assert "requests are counted" in messages[1]
    assert len(messages) == 2
    store.close()


def test_counts_survive_a_restart(tmp_path: Path) -> None:
    """A store that is opened again goes on counting."""
    numbers = Limit("rule", 1, 60, 60)
    for passed in (True, False):
        store = SharedStore(tmp_path / "counts", refused)
        assert (store.hit(numbers, "client", NOW) == 0) is passed
        store.close()


def test_damaged_slots_heal(tmp_path: Path) -> None:
    """Random bytes in the table (a worker killed in the middle of a write) raise nothing, and time heals
    them.
    """
    path = tmp_path / "counts"
    SharedStore(path, refused, slots=8).close()
    raw = bytearray(path.read_bytes())
    raw[64:] = os.urandom(len(raw) - 64)
    path.write_bytes(raw)
    store = SharedStore(path, refused, slots=8)
    numbers = Limit("rule", 40, 60, 60)
    for number in range(200):
        store.hit(numbers, str(number % 20), NOW + number)
    assert sum(store.hit(numbers, "fresh", NOW + 1000) == 0 for _ in range(50)) == 40
    store.close()


def test_many_clients_do_not_grow_the_file(tmp_path: Path) -> None:
    """The file keeps its size, and a client just seen keeps its count among thousands of others."""
    path = tmp_path / "counts"
    store = SharedStore(path, refused, slots=64)
    size = path.stat().st_size
    for number in range(2000):
        store.hit(LIMIT, str(number), NOW + number / 1000)
    assert path.stat().st_size == size < 64 * 600 + 64
    assert store.hit(Limit("rule", 1, 60, 60), "last", NOW + 3) == 0
    assert store.hit(Limit("rule", 1, 60, 60), "last", NOW + 3) == 60
    store.close()


def test_the_file_is_private(tmp_path: Path) -> None:
    """The file is its owner's alone; one that others may write, a link or another format is refused."""
    path = tmp_path / "counts"
    SharedStore(path, refused, slots=8).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o666)
    with pytest.raises(PermissionError, match="must be a file of this user alone"):
        SharedStore(path, refused, slots=8)
    path.chmod(0o600)
    with pytest.raises(OSError, match="is a table of 8 slots, not 16"):
        SharedStore(path, refused, slots=16)
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(OSError, match="link"):
        SharedStore(tmp_path / "link", refused, slots=8)
    (tmp_path / "other").write_bytes(b"something else entirely, not ours at all")
    (tmp_path / "other").chmod(0o600)
    with pytest.raises(OSError, match="is not a table of rate limits"):
        SharedStore(tmp_path / "other", refused, slots=8)


def test_where_workers_meet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Host and key name the file, which does not tell the key; a directory open to others is refused."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path = shared_path("http://metlo", "secret-key")
    assert path == shared_path("http://metlo", "secret-key")
    assert path.parent.parent == tmp_path
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert len({path, shared_path("http://metlo", "other"), shared_path("http://other", "secret-key")}) == 3
    assert "secret" not in str(path)
    path.parent.chmod(0o777)
    with pytest.raises(PermissionError, match="mode 0700"):
        shared_path("http://metlo", "secret-key")
    messages: list[str] = []
    assert isinstance(open_store("shared", "http://metlo", "k", messages.append), LocalStore)
    assert "every worker counts alone" in messages[0]


def test_blocked_users_are_shared(tmp_path: Path) -> None:
    """A user blocked in one worker is blocked in all, opened before or after, until unblocked in any."""
    path = tmp_path / "counts"
    first, second = SharedStore(path, refused), SharedStore(path, refused)
    here, there = open_users(first), open_users(second)
    assert not here
    assert not there
    here.block("bob", 60, NOW)
    assert there
    assert there.seconds_left("bob", NOW + 20) == 40
    assert there.seconds_left("eve", NOW) == 0
    assert there.seconds_left("bob", NOW + 60) == 0
    policy = Policy(users=there)
    assert policy.needs_user
    assert policy.decide(exchange(), client(user="bob"), NOW).rule == "block_user"
    assert there.unblock("bob")
    assert not there.unblock("bob")
    assert here.seconds_left("bob", NOW) == 0
    here.block("bob", 60, NOW)
    assert open_users(SharedStore(path, refused)).seconds_left("bob", NOW) == 60
    first.close()
    second.close()


def test_blocked_users_without_the_lock(tmp_path: Path) -> None:
    """While the store cannot be had, a user is blocked in the worker that was asked."""
    messages: list[str] = []
    store = SharedStore(tmp_path / "counts", messages.append)
    users = open_users(store)
    child, ready = hold(tmp_path / "counts")
    try:
        users.block("bob", 60, NOW)
        assert users.seconds_left("bob", NOW) == 60
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(ready)
    assert users.unblock("bob")
    assert users.seconds_left("bob", NOW) == 0
    store.close()


def test_stores_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings' names open their stores; another name says what there is."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert isinstance(open_store("memory", "h", "k", refused), LocalStore)
    shared = open_store("shared", "h", "k", refused)
    assert isinstance(shared, SharedStore)
    shared.close()
    with pytest.raises(ValueError, match="memory, shared or a redis:// URL, not 'sahred'"):
        open_store("sahred", "h", "k", refused)


def test_a_lock_held_by_another_process_keeps_nobody_from_starting(tmp_path: Path) -> None:
    """Opening the file waits no longer than counting does: a stopped process holds up neither start nor request."""
    path = tmp_path / "counts"
    SharedStore(path, refused).close()
    child, _ready = hold(path)
    try:
        began = time.monotonic()
        with pytest.raises(OSError, match="locked too long"):
            SharedStore(path, refused)
        assert time.monotonic() - began < 5
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
