"""How fast the dashboard's pages are: python -m benchmarks.dashboard [--db URL] [--rounds N]

1,000 endpoints with 100 traces each, 100,000 in all, a thousand alerts and some hundred actors are stored first. Then
every page is asked for in turn, round after round, over one connection, as one browser does; the median, the slowest of
all rounds and the page's size are printed. Nothing else runs: this is the time of one page, not how many a second.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from urllib.parse import urlencode

from sqlalchemy import Connection

from benchmarks.collector import ENDPOINTS, KEY, PASSWORD, STORED, connect, log_in, trace
from metlo_otel.collector.ingest import Ingest
from metlo_otel.collector.server import RunningCollector
from metlo_otel.collector.store import Store
from metlo_otel.collector.trace import Trace, read_trace

MINUTES = 24 * 60  # over which the traces are spread
GROUP = 500
ALLOWED = 100.0  # milliseconds
PAGES = (
    *("", "?range=24h", "?range=7d", "?range=all"),
    *(
        "endpoints",
        "endpoints?sort=calls",
        "endpoints?path=collection7",
        "endpoints?class=Email",
        "endpoints?sort=path",
    ),
    *("endpoints/1", "endpoints/500?range=7d", "endpoints/500?range=all"),
    *(
        "traces",
        "traces?path=collection7",
        "traces?path=nothing-is-like-this",
        "traces?status=5xx",
        "traces?attack=SQLI",
    ),
    *("traces?user=nobody", "traces?source=198.51.100.7", f"traces?trace={4711:032x}", "traces?blocked=true"),
    *("traces?q=path:*collection7*+took:>1ms", "traces?q=-status:2xx", "traces?q=nothing-is-like-this&range=6h"),
    *("traces/50000", "attacks", "attacks?category=SQLI", "attacks?path=nothing-is-like-this"),
    *("actors", "actors?value=100.7", "actors/1", "actors/1?range=7d", "rules", "specs", "settings", "audit"),
    *("alerts", "alerts?kind=attack", "alerts?q=collection7", "alerts/1"),
)


def fill(store: Store) -> None:
    """Store all traces, the oldest first."""
    ingest, now = Ingest(), time.time_ns() // 1_000_000
    for at in range(0, STORED, GROUP):
        numbers = range(at, at + GROUP)
        traces = [read_trace(trace(number % ENDPOINTS, number // 7), 2) for number in numbers]
        moment = now - (STORED - at) * MINUTES * 60_000 // STORED
        store.change(partial(_write, ingest=ingest, traces=traces, moment=moment)).result()


def _write(connection: Connection, ingest: Ingest, traces: list[Trace], moment: int) -> None:
    ingest.write(connection, traces, moment)


def measure(url: str, rounds: int) -> int:
    """Print the times of all pages; how many are slower than they may be."""
    headers = {"Cookie": log_in(url)}
    connection = connect(url)
    times: dict[str, list[float]] = {page: [] for page in PAGES}
    told: dict[str, tuple[int, int]] = {}
    for _ in range(rounds):
        for page in PAGES:
            began = time.perf_counter()
            connection.request("GET", f"/dashboard/{page}", headers=headers)
            answer = connection.getresponse()
            told[page] = answer.status, len(answer.read())
            times[page].append((time.perf_counter() - began) * 1000)
    connection.close()
    for page in PAGES:
        status, size = told[page]
        median, slowest = statistics.median(times[page]), max(times[page])
        print(f"{median:7.1f} ms, slowest {slowest:7.1f}  {size / 1000:6.1f} kB  {status}  /dashboard/{page}")
    return sum(statistics.median(each) > ALLOWED for each in times.values())


def dry_run(url: str) -> float:
    """Milliseconds that trying a rule on the stored traces takes."""
    rule = {"kind": "block", "mode": "block", "match": "all", "field": "request_parameter", "key": "q"}
    form = urlencode({**rule, "operator": "contains", "value": "tea", "enabled": "on"})
    headers = {"Cookie": log_in(url), "Origin": url, "Content-Type": "application/x-www-form-urlencoded"}
    connection = connect(url)
    began = time.perf_counter()
    connection.request("POST", "/dashboard/rules/try", form, headers)
    connection.getresponse().read()
    connection.close()
    return (time.perf_counter() - began) * 1000


def _measure(database: str, rounds: int) -> int:
    with RunningCollector(database, KEY, PASSWORD) as collector:
        began = time.perf_counter()
        fill(collector.store)
        print(f"{STORED:,} traces of {ENDPOINTS:,} endpoints stored in {time.perf_counter() - began:.0f} s")
        slow = measure(collector.url, rounds)
        print(f"{dry_run(collector.url):7.0f} ms  a dry run of a rule")
    return slow


def main() -> int:
    """Measure."""
    logging.getLogger("metlo_otel").addHandler(logging.NullHandler())  # alerts would be told on stderr
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--db", help="a postgresql+psycopg:// URL (default: a new SQLite file)")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        slow = _measure(options.db or str(Path(folder) / "bench.db"), options.rounds)
    print(f"{slow} of {len(PAGES)} pages take more than {ALLOWED:.0f} ms")
    return int(slow > 0)


if __name__ == "__main__":
    sys.exit(main())
