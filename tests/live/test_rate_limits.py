"""A limit holds over all workers of a server, as its user expects it to."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from metlo_otel.testing import MemoryCollector
from tests.blocking.exchanges import condition, every, wire_limit
from tests.blocking.redis_server import BINARY, free_port, redis_server
from tests.live.server import Server

pytestmark = pytest.mark.live

PATIENT = "?socket_timeout=10&socket_connect_timeout=10"  # on a busy machine an answer may take more than usual
THRESHOLD, WORKERS, CLIENTS, EACH = 100, 4, 8, 40
LIMIT = wire_limit(THRESHOLD, every(condition("path", "eq", "/pid")), interval="hour_1", seconds=600, by=["ip"])
CONFIG = {"wafConfig": [LIMIT]}


def gunicorn(collector: MemoryCollector, *options: str, **environ: str) -> Server:
    """The shop in Flask under gunicorn, with four workers."""
    app = "tests.live.apps:flask_shop()"
    arguments = ["gunicorn", "--bind", "127.0.0.1:0", f"--workers={WORKERS}", *options, app]
    return Server(collector, *arguments, ready="Booting worker", **environ)


def kept(folder: Path) -> str:
    """The configuration as an earlier start has left it, so that every worker has it from its first request on."""
    path = folder / "config.json"
    path.write_text(json.dumps(CONFIG))
    path.chmod(0o600)
    return str(path)


def ask(server: Server) -> list[tuple[int, bytes]]:
    return [server.get("/pid") for _ in range(EACH)]


def answers(server: Server) -> list[tuple[int, bytes]]:
    """What several clients get that all ask at once."""
    with ThreadPoolExecutor(CLIENTS) as clients:
        return [answer for got in clients.map(ask, [server] * CLIENTS) for answer in got]


def check(got: list[tuple[int, bytes]]) -> None:
    statuses = Counter(status for status, _ in got)
    assert set(statuses) == {200, 429}
    assert abs(statuses[200] - THRESHOLD) <= 2
    assert len({pid for status, pid in got if status == 200}) > 1, "one worker served everything"


@pytest.mark.parametrize("options", [[], ["--preload"]], ids=["workers", "preload"])
def test_four_workers_share_a_threshold(collector: MemoryCollector, tmp_path: Path, options: list[str]) -> None:
    """By default four workers with a threshold of 100 let 100 of 320 requests pass, however they are started."""
    collector.config = CONFIG
    with gunicorn(collector, *options, TMPDIR=str(tmp_path), METLO_CONFIG_CACHE=kept(tmp_path)) as server:
        check(answers(server))
    assert not [line for line in server.output if "metlo_otel" in line or "Traceback" in line]


@pytest.mark.skipif(BINARY is None, reason="redis-server is not installed")
def test_four_workers_and_redis(collector: MemoryCollector, tmp_path: Path) -> None:
    """The same with the counts in Redis."""
    collector.config = CONFIG
    with (
        redis_server(tmp_path, free_port()) as url,
        gunicorn(collector, METLO_RATE_LIMIT_STORAGE=url + PATIENT, METLO_CONFIG_CACHE=kept(tmp_path)) as server,
    ):
        check(answers(server))
