"""How large a day of traffic becomes on SQLite: python -m benchmarks.collector_day

A day in minutes: in each, 1,000 traces of 1,000 endpoints are written as received then, which fills the tables that
grow with time and keeps as many traces of each endpoint as 1,000 requests a second would; the upkeep runs every hour.
Counts do not grow with requests, so that a busier minute takes the same room.
"""

from __future__ import annotations

import gzip
import tempfile
import time
from pathlib import Path

from benchmarks.collector import batches
from metlo_otel.collector.api import check
from metlo_otel.collector.database import begin_writing, bytes_used, open_database
from metlo_otel.collector.ingest import Ingest
from metlo_otel.collector.jsontext import read_json
from metlo_otel.collector.queries import inventory_counts
from metlo_otel.collector.trace import Trace, read_trace
from metlo_otel.collector.upkeep import Upkeep

_MINUTES = 24 * 60


def main() -> None:
    """Measure and print."""
    read = [check(read_json(gzip.decompress(body)), lambda item: read_trace(item, 2))[0] for body in batches(300)]
    traces = [trace for batch in read for trace in batch]
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder) / "day.db", traces)


def write(path: Path, traces: list[Trace]) -> None:
    """Write a day that ends now."""
    engine, ingest = open_database(str(path)), Ingest()
    start = int(time.time() * 1000) - _MINUTES * 60_000
    for minute in range(_MINUTES):
        at = minute * 1000 % len(traces)
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA synchronous=OFF")
            begin_writing(connection)
            ingest.write(connection, traces[at : at + 1000], start + minute * 60_000)
            connection.commit()
        for step in Upkeep().steps() if minute % 60 == 59 else ():
            with engine.connect() as connection:
                begin_writing(connection)
                step(connection)
                connection.commit()
    with engine.connect() as connection:
        print({**inventory_counts(connection), "megabytes used": bytes_used(connection) // 1_000_000})
    engine.dispose()
    print(f"file: {path.stat().st_size / 1_000_000:.0f} MB")


if __name__ == "__main__":
    main()
