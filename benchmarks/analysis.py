"""CPU time of the full analysis of one record, attacks included: 2 KB of JSON each way, with and without RE2; of a look
at one value; and of the longest step that the worker takes before it lets requests go first, whatever it is given.

Run: python -m benchmarks.analysis [--check]. With --check the exit status tells whether the promised times hold.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

from benchmarks import detection, steps
from metlo_otel.analysis.analyse import Analyser
from metlo_otel.analysis.attacks import detect
from metlo_otel.core.agent_config import AgentConfig
from metlo_otel.core.record import Message, Record
from metlo_otel.reading.fields import Fields, data_types, read_fields

ROUNDS = 300
PROMISED = {True: 400.0, False: 1500.0}  # microseconds
ORDINARY, SUSPICIOUS = 5.0, 60.0  # microseconds of a value of 30 and of 100 characters


def _body(kind: str) -> bytes:
    items = [
        {
            "id": f"{kind}-{number}",
            "sku": f"SKU-{number:05d}",
            "title": "Walking shoes, brown leather",
            "price": 79.9 + number,
            "stock": number * 3,
            "active": number % 2 == 0,
            "updated": f"2024-05-{number + 1:02d}T10:15:00Z",
            "tags": ["shoes", "outdoor", None],
        }
        for number in range(10)
    ]
    person = {"email": "bob@example.com", "phone": "+1 415-555-2671", "city": "Berlin"}
    return json.dumps({"kind": kind, "customer": person, "items": items}).encode()[:-1] + b', "end": true}'


def _message(kind: str, size: int) -> Message:
    document = json.loads(_body(kind))
    while len(json.dumps(document)) > size:
        document["items"].pop()
    document["note"] = "x " * ((size - len(json.dumps(document))) // 2)
    body = json.dumps(document).encode()
    headers = (
        ("Host", "shop.example"),
        (
            "User-Agent",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36",
        ),
        ("Accept", "application/json, text/plain, */*"),
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        ("Cookie", "session=6c1f9d0b7a5e4f3c; theme=dark"),
    )
    return Message(headers, body, len(body))


def sample() -> Record:
    """A POST with query, headers and cookies whose bodies have 2 KB each."""
    return Record(
        "POST",
        "https",
        "shop.example",
        "/api/orders",
        (("page", "2"), ("sort", "price"), ("q", "brown shoes")),
        _message("order", 2048),
        _message("receipt", 2048),
        200,
        ("10.0.0.1", 50000),
        ("10.0.0.2", 443),
    )


def cpu(work: Callable[[], object]) -> float:
    """The best of five rounds' mean CPU time of a call, in microseconds, once warm."""
    work()
    best = float("inf")
    for _ in range(5):
        started = time.thread_time()
        for _ in range(ROUNDS // 5):
            work()
        best = min(best, (time.thread_time() - started) / (ROUNDS // 5) * 1e6)
    return best


def attacks(record: Record, fields: Fields, _paths: tuple[str, ...] = ()) -> dict[str, list[str]]:
    """The attack check as the agent makes it, over all that the client sent."""
    found = detect([("reqPath", record.path), *fields.sent_texts()])
    return {key: [finding.category for finding in findings] for key, findings in found.items()}


def _engines() -> list[bool]:
    try:
        Analyser(AgentConfig(), print, speed=True)
    except ImportError:
        print("google-re2 is not installed: the speed extra is not measured")
        return [False]
    return [True, False]


def main() -> int:
    """Print the times; 1 where one is over its promise and --check was given."""
    record = sample()
    fields = read_fields(record)
    count = len(fields.sent + fields.answered)
    print(f"{len(record.request.body)} + {len(record.response.body)} bytes, {count} fields; CPU in µs")
    print(f"  read_fields           {cpu(lambda: read_fields(record)):8.1f}")
    print(f"  data_types            {cpu(lambda: data_types(fields, 200)):8.1f}")
    print(f"  attacks               {cpu(lambda: attacks(record, fields)):8.1f}")
    slow = False
    for speed in _engines():
        analyser = Analyser(AgentConfig(), print, speed=speed, detect=attacks)
        taken = cpu(lambda: analyser.analyse(record))  # noqa: B023 - called before the loop goes on
        slow = slow or taken > PROMISED[speed]
        print(f"  analyse, {'RE2      ' if speed else 'automaton'}    {taken:8.1f}  (promised: {PROMISED[speed]:.0f})")
    slow = detection.times(f"ordinary values (promised: {ORDINARY:.0f})", detection.ORDINARY) > ORDINARY or slow
    slow = detection.times(f"suspicious values (promised: {SUSPICIOUS:.0f})", detection.SUSPICIOUS) > SUSPICIOUS or slow
    slow = steps.report() > steps.PROMISED or slow
    return int(slow and "--check" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
