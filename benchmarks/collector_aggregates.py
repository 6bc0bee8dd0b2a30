"""What sums cost the collector: python -m benchmarks.collector_aggregates [--db URL] [--seconds N] [--rate N]

A collector in a process of its own, on SQLite unless `--db` says otherwise. 200 agents of 20 services, each on a
connection of its own, send once a second what they counted: 1,000,000 requests a minute in all, of 1,000 routes and
some that nothing answers, from 500 addresses, each of which makes some three requests in a row. The collector's CPU is
Linux's account of its process; that nothing was lost or counted twice is asked for at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import os
import random
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.collector import KEY, ask, collector, cpu_seconds
from metlo_otel.core.aggregates import Aggregates, Key, document

SERVICES, ROUTES, ADDRESSES = 20, 50, 500
DOCUMENTS = 5  # different ones of each agent, sent in turn
ALLOWED = 20.0  # percent of one core
_STARTING = 4.0  # seconds
_CHANCE = random.Random(11)


@dataclass
class Sent:
    """What all agents have sent, and how long each answer took in ms."""

    calls: int = 0
    documents: int = 0
    refused: int = 0
    times: list[float] = field(default_factory=list)


def make(agent: int, calls: int) -> bytes:
    """A second of an agent's life, compressed."""
    counted, service = Aggregates(), agent % SERVICES
    address = 0
    for _ in range(calls):
        if _CHANCE.random() < 1 / 3:
            address = _CHANCE.randrange(ADDRESSES)
        route = min(int(_CHANCE.expovariate(0.08)), ROUTES - 1)
        status = _CHANCE.choices((200, 404, 500), (95, 4, 1))[0]
        method = ("GET", "GET", "POST")[route % 3]
        sent = "application/json" if method == "POST" else None
        path = f"/collection{route}/{{id}}/part{service}"
        key = Key(f"service{service}.example", method, path, None, status, sent, "application/json", "bearer", "public")
        if _CHANCE.random() < 0.01:
            key = Key(f"service{service}.example", "GET", None, None, 404)
        counted.add(key, _CHANCE.lognormvariate(8.5, 0.8), 500, 2_000, False)
        counted.add_actor("address", f"198.51.{address}.7", status, False)
    now = int(time.time() * 1000)
    return gzip.compress(json.dumps(document(counted.take(), now - 1000, now, "production")).encode(), 1)


async def live(url: str, bodies: list[bytes], calls: int, until: float, sent: Sent) -> None:
    """Be one agent."""
    address = urlsplit(url)
    await asyncio.sleep(_CHANCE.random())
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    due, turn = time.perf_counter(), 0
    while due < until:
        body = bodies[turn % len(bodies)]
        head = (
            f"POST /api/v1/aggregates HTTP/1.1\r\nHost: {address.netloc}\r\nAuthorization: {KEY}\r\n"
            "User-Agent: metlo-otel/bench\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        began = time.perf_counter()
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(length)
        sent.times.append((time.perf_counter() - began) * 1000)
        taken = answer.startswith(b"HTTP/1.1 200")
        sent.documents, sent.calls = sent.documents + 1, sent.calls + calls * taken
        sent.refused += not taken
        turn, due = turn + 1, due + 1
        await asyncio.sleep(max(due - time.perf_counter(), 0))
    writer.close()


async def load(
    url: str, process: int, agents: list[list[bytes]], calls: int, seconds: float
) -> tuple[Sent, float, float, int]:
    """Have all agents live for so long, after a while of getting started: what was sent from then on, in how many
    seconds, the seconds of CPU, and the calls that were sent before.
    """
    sent = Sent()
    until = time.perf_counter() + _STARTING + seconds
    living = asyncio.gather(*(live(url, bodies, calls, until, sent) for bodies in agents))
    await asyncio.sleep(_STARTING)
    started, began, computed = replace(sent), time.perf_counter(), cpu_seconds(process)
    await asyncio.sleep(seconds - 0.2)
    measured, took, cpu = replace(sent), time.perf_counter() - began, cpu_seconds(process) - computed
    await living
    measured.calls, measured.documents = measured.calls - started.calls, measured.documents - started.documents
    return measured, took, cpu, sent.calls - measured.calls


def measure(database: str, agents: int, rate: int, seconds: float) -> float:
    """Print what was measured; the percentage of one core."""
    calls = rate // 60 // agents
    bodies = [[make(agent, calls) for _ in range(DOCUMENTS)] for agent in range(agents)]
    print(f"{agents} agents, {calls} requests in a document of {len(bodies[0][0])} bytes; {os.cpu_count()} cores")
    with collector(database) as (url, process, _):
        sent, took, cpu, before = asyncio.run(load(url, process, bodies, calls, seconds))
        counted = stored_calls(url)
    times = sorted(sent.times)
    print(
        f"{sent.calls / took * 60:,.0f} requests a minute in {sent.documents / took:.0f} documents a second: "
        f"{cpu / took * 100:.1f} % of one core, {cpu / sent.documents * 1e6:.0f} µs a document, "
        f"{cpu / sent.calls * 1e6:.1f} µs a request; answers after {times[len(times) // 2]:.0f} ms "
        f"(median), {times[len(times) * 99 // 100]:.0f} ms (p99); refused {sent.refused}"
    )
    print(f"sent {before + sent.calls:,}, counted {counted:,}")
    return cpu / took * 100


def stored_calls(url: str) -> int:
    """How many calls all endpoints have."""
    calls = after = 0
    while True:
        page = json.loads(ask(url, f"/api/v1/endpoints?limit=500&after={after}"))
        calls += sum(int(item["calls"]) for item in page["items"])
        if not page["next"]:
            return calls
        after = page["next"]


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--db", help="a postgresql+psycopg:// URL (default: a new SQLite file)")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--agents", type=int, default=200)
    parser.add_argument("--rate", type=int, default=1_000_000, help="requests a minute (default: %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        database = options.db or str(Path(folder) / "bench.db")
        used = measure(database, options.agents, options.rate, options.seconds)
    print(f"{used:.1f} % of one core, {ALLOWED:.0f} are allowed")
    return int(used > ALLOWED)


if __name__ == "__main__":
    raise SystemExit(main())
