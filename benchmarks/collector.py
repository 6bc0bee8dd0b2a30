"""How much the collector takes in and how fast it answers: python -m benchmarks.collector [--db URL] [--seconds N]

A collector in a process of its own, on SQLite unless `--db` says otherwise; batches of 100 traces of 1,000 endpoints
through HTTP over a few connections, as agents send them; then every page and list with 1,000 endpoints and 100,000
traces in the store. Answers to batches come after the commit, so a batch's time is the time until it is durable.
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

KEY, PASSWORD = "a-key-for-measuring", "a password for measuring"
BATCH, ENDPOINTS, STORED = 100, 1_000, 100_000
_CHANCE = random.Random(7)


@dataclass
class Sender:
    """What one connection has sent, and how long each batch took in ms."""

    sent: int = 0
    refused: int = 0
    times: list[float] = field(default_factory=list)


def trace(endpoint: int, number: int) -> dict[str, Any]:
    """A trace as an agent sends it: every tenth whole, the others redacted; one in fifty is an attack."""
    whole, attack = number % 10 == 0, number % 50 == 0
    path = f"/api/v1/collection{endpoint % 100}/{number % 5000}/part{endpoint // 100}"
    body = {"id": number, "email": f"user{number}@example.com", "tags": ["a", "b"], "note": "x" * 200}
    headers = [
        {"name": name, "value": "text/html; charset=utf-8 and more"} for name in ("Accept", "User-Agent", "X-Id")
    ]
    types = {f"resBody.{name}": ["string"] for name in ("email", "note")} | {"resBody.id": ["number"]}
    processed: dict[str, Any] = {
        "block": False,
        "dataTypes": {
            **types,
            "resBody.tags.[]": ["string"],
            "reqHeaders.Accept": ["string"],
            "reqQuery.q": ["string"],
        },
        "sensitiveDataDetected": {"resBody.email": ["Email"]},
        "attackDetections": {"reqQuery.q": ["SQLI"]} if attack else {},
        "requestContentType": "",
        "responseContentType": "application/json",
    }
    url = {
        "host": f"shop{endpoint % 5}.example",
        "path": path,
        "endpointPath": f"/api/v1/collection{endpoint % 100}/{{id}}/part{endpoint // 100}",
        "parameters": [{"name": "q", "value": "tea"}] if whole else [],
    }
    return {
        "request": {"method": "GET", "url": url, "headers": headers if whole else [], "body": "", "user": None},
        "response": {
            "status": _CHANCE.choice((200, 200, 200, 200, 404, 500)),
            "headers": headers if whole else [],
            "body": json.dumps(body) if whole else "",
        },
        "meta": {
            "environment": "production",
            "incoming": True,
            "source": f"198.51.100.{number % 200}",
            "sourcePort": 40_000,
            "destination": "10.0.0.1",
            "destinationPort": 443,
            "scheme": "https",
            "traceId": f"{number:032x}",
            "durationMicroseconds": 1_000 + number * 7_919 % 50_000,
        },
        "processedTraceData": processed,
        "redacted": not whole,
        "sessionMeta": {"uniqueSessionKey": f"session-{number % 300}", "authenticationProvided": True, "user": None},
        "analysisType": "full",
    }


def batches(count: int) -> list[bytes]:
    """So many different compressed batches."""
    numbers = iter(range(count * BATCH))
    return [
        gzip.compress(
            json.dumps([trace(_CHANCE.randrange(ENDPOINTS), next(numbers)) for _ in range(BATCH)]).encode(), 1
        )
        for _ in range(count)
    ]


@contextmanager
def collector(database: str, *options: str) -> Iterator[tuple[str, int, float]]:
    """A running collector: its URL, its process, and the seconds that it took to answer its first request."""
    command = [sys.executable, "-m", "metlo_otel.cli", "collector", "--port", "0", "--db", database, *options]
    environment = {**os.environ, "METLO_KEY": KEY, "METLO_READ_KEY": KEY, "METLO_DASHBOARD_PASSWORD": PASSWORD}
    began = time.perf_counter()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            url = next(found[0] for line in process.stdout if (found := re.search(r"http://[\w.:]+\d", line)))
            ask(url, "/api/v1")
            yield url, process.pid, time.perf_counter() - began
        finally:
            process.terminate()
            process.wait(30)


def connect(url: str) -> http.client.HTTPConnection:
    """A connection that is kept."""
    address = urlsplit(url)
    return http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)


def ask(url: str, path: str) -> bytes:
    """The body of one answer with the key."""
    connection = connect(url)
    connection.request("GET", path, headers={"Authorization": KEY})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    if answer.status != 200:
        raise RuntimeError(f"{path}: status {answer.status}: {body[:300]!r}")
    return body


def send(url: str, bodies: list[bytes], until: float, pace: float, sender: Sender) -> None:
    """Send batches on one connection, one every `pace` seconds if that is possible."""
    connection = connect(url)
    headers = {"Authorization": KEY, "Content-Type": "application/json", "Content-Encoding": "gzip"}
    due = time.perf_counter()
    at = _CHANCE.randrange(len(bodies))
    while (now := time.perf_counter()) < until:
        if now < due:
            time.sleep(due - now)
        began = time.perf_counter()
        connection.request("POST", "/api/v2/log-request/batch", bodies[at % len(bodies)], headers)
        answer = connection.getresponse()
        answer.read()
        sender.times.append((time.perf_counter() - began) * 1000)
        sender.sent += BATCH * (answer.status == 200)
        sender.refused += answer.status != 200
        at, due = at + 1, due + pace
    connection.close()


def cpu_seconds(process: int) -> float:
    """What a process has computed so far, by Linux's account; unlike time it does not depend on who else computes."""
    stat = Path(f"/proc/{process}/stat")
    fields = stat.read_text().rpartition(")")[2].split() if stat.exists() else ["0"] * 20
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def load(url: str, process: int, bodies: list[bytes], seconds: float, connections: int, rate: float) -> str:
    """Traces a second at `rate` (0: as many as it takes), in words."""
    pace = connections * BATCH / rate if rate else 0.0
    began, computed = time.perf_counter(), cpu_seconds(process)
    senders = [Sender() for _ in range(connections)]
    threads = [threading.Thread(target=send, args=(url, bodies, began + seconds, pace, sender)) for sender in senders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    times = sorted(value for sender in senders for value in sender.times)
    sent = sum(sender.sent for sender in senders)
    per_second, cpu = sent / took, (cpu_seconds(process) - computed) / max(sent, 1) * 1_000_000
    p50, p99 = times[len(times) // 2], times[min(len(times) - 1, len(times) * 99 // 100)]
    asked = f"{rate:6.0f}/s asked" if rate else "   as fast as it goes"
    refused = sum(sender.refused for sender in senders)
    return (
        f"{asked}: {per_second:6.0f} traces/s over {connections} connections; a batch of {BATCH}: "
        f"median {p50:.0f} ms, p99 {p99:.0f} ms, longest {times[-1]:.0f} ms; "
        f"{cpu:.0f} µs of CPU a trace; refused {refused}"
    )


def log_in(url: str) -> str:
    """The cookie of a dashboard session."""
    connection = connect(url)
    form = urlencode({"name": "bench", "password": PASSWORD})
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": url}
    connection.request("POST", "/dashboard/login", form, headers)
    answer = connection.getresponse()
    answer.read()
    cookie = (answer.headers.get("Set-Cookie") or "").partition(";")[0]
    connection.close()
    return cookie


def pages(url: str) -> Iterator[tuple[str, float]]:
    """Every list and page with the median of its times in ms."""
    cookie = log_in(url)
    lists = (
        "endpoints?limit=50",
        "endpoints?limit=50&sort=risk",
        "traces",
        "traces?path=collection7",
        "traces?status=5xx",
    )
    names = (
        "",
        "endpoints",
        "endpoints/1",
        "traces",
        "traces?path=collection7",
        "attacks",
        "actors",
        "rules",
        "alerts",
    )
    paths = [*(f"/api/v1/{name}" for name in lists), *(f"/dashboard/{name}" for name in names)]
    connection = connect(url)
    for path in paths:
        times = []
        for _ in range(9):
            began = time.perf_counter()
            connection.request("GET", path, headers={"Authorization": KEY, "Cookie": cookie})
            answer = connection.getresponse()
            answer.read()
            times.append((time.perf_counter() - began) * 1000)
        yield f"{path} ({answer.status})", statistics.median(times)
    connection.close()


def measure(database: str, seconds: float) -> None:
    """Everything, printed as it comes."""
    bodies = batches(300)
    size = statistics.mean(map(len, bodies))
    print(f"batches of {size / 1000:.0f} kB compressed; {os.cpu_count()} cores")
    with collector(database) as (url, process, took):
        print(f"first start, tables made: {took:.2f} s")
        for connections in (1, 4, 8):
            print(load(url, process, bodies, seconds, connections, 0), flush=True)
        print(load(url, process, bodies, seconds, 4, 5_000), flush=True)
    with collector(database) as (url, process, took):
        print(f"next start: {took:.2f} s")
        fill(url, process, bodies)
        for path, milliseconds in pages(url):
            print(f"{milliseconds:7.1f} ms  {path}")


def fill(url: str, process: int, bodies: list[bytes]) -> None:
    """Send until there are as many traces as there should be."""
    load(url, process, bodies, 40, 4, 0)
    found = json.loads(ask(url, "/api/v1/traces?limit=1"))["items"][0]["id"]
    print(f"latest trace kept: number {found}")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--db", help="a postgresql+psycopg:// URL (default: a new SQLite file)")
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(options.db or str(Path(folder) / "bench.db"), options.seconds)


if __name__ == "__main__":
    main()
