"""How long the worker computes at most between two checks whether requests should go first, over hostile input.

Run as a part of `python -m benchmarks.analysis`. Each body is as long as MAX_BODY lets it be where that is set to
64 KiB, thirteen times the default.
"""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator

from benchmarks import hostile
from metlo_otel.analysis.inspection import Inspection
from metlo_otel.core.agent_config import AgentConfig
from metlo_otel.core.record import Message, Record
from metlo_otel.core.settings import read_settings

LONGEST = 65_536
PROMISED = 2000.0  # microseconds of CPU time
DECISION = 5000.0
JSON = "application/json"
ROUNDS = 5
ENTITIES = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 20))


def bodies() -> Iterator[tuple[str, str, bytes]]:
    """Name, media type and body of each."""
    yield "nested arrays", JSON, b"[" * LONGEST
    yield "nested objects", JSON, b'{"a":' * (LONGEST // 5)
    yield "a million keys", JSON, b"{" + b",".join(b'"%d":1' % number for number in range(1_000_000)) + b"}"
    yield "keys, whole", JSON, b"{" + b",".join(b'"%d":1' % number for number in range(7000)) + b"}"
    yield "objects in arrays", JSON, b"[" + b",".join([b'{"a":[{"b":[1,2]}]}'] * 3000) + b"]"
    yield "huge number", JSON, b'{"a":' + b"9" * 60_000 + b"}"
    yield "NaN", JSON, b'{"a":NaN,"b":[' + b"NaN," * 15_000 + b"1]}"
    yield "duplicate keys", JSON, b"{" + b'"a":"x y",' * 6000 + b'"a":1}'
    yield "lone surrogates", JSON, b'{"a":"' + b"\\ud800" * 10_000 + b'"}'
    yield "mixed encodings", f"{JSON}; charset=utf-8", b'{"a":"' + "aé".encode("latin-1") * 30_000 + b'"}'
    yield "UTF-16", f"{JSON}; charset=utf-16", ('{"a":"' + "é" * 30_000 + '"}').encode("utf-16")
    yield "escapes", JSON, b'{"a":"' + b"\\" * LONGEST
    yield "open quotes", JSON, b'"' * LONGEST
    yield "broken multipart", "multipart/form-data; boundary=a", b"--a\r\n" * 13_000
    yield (
        "multipart",
        "multipart/form-data; boundary=a",
        b'--a\r\nContent-Disposition: form-data; name="a"\r\n\r\n<script>\r\n' * 1000,
    )
    yield "form", "application/x-www-form-urlencoded", b"%61%3D=%3Cb%3E+1&" * 3800
    yield "billion laughs", "application/xml", f"<!DOCTYPE a [<!ENTITY a0 'a'>{ENTITIES}]><a>&a19;</a>".encode()
    yield "tags", "text/html", b"<a b=c d='e'>" * 5000
    yield "lines", "application/x-ndjson", b'{"a":[1,2,3]}\n' * 4600
    yield "gzip bomb", JSON, b'{"a":"' + b" " * 10_000_000
    yield "gzip bomb of keys", JSON, b"{" + b",".join(b'"%d":"a b"' % number for number in range(1_000_000))
    yield "repeated letters", JSON, b'{"a":"' + b"a" * 60_000 + b'!"}'
    yield (
        "card numbers",
        JSON,
        json.dumps({str(n): "4111 1111 1111 1111 bob@example.com " * 5 for n in range(350)}).encode(),
    )
    yield (
        "attacks",
        JSON,
        json.dumps(
            [f"{n}' or 1=1 union select a from b-- <script>alert(1)</script>; cat /etc/passwd" for n in range(700)]
        ).encode(),
    )


QUERIES = {
    "10,000 aliases": "{" + " ".join(f"a{number}: user(id: {number}) {{ id }}" for number in range(10_000)) + "}",
    "1,900 tokens": "{" + " ".join(f"a{number}: user(id: {number}) {{ id }}" for number in range(172)) + "}",
    "nested": "{a" * 5000 + "}" * 5000,
    "nested lists": "{a(x: " + "[" * 5000 + "]" * 5000 + ")}",
    "fragments": "{...f0}" + "".join(f"fragment f{n} on T {{...f{n + 1} ...f{n + 1} a{n}}}" for n in range(60)),
    "arguments": "{a(" + " ".join(f"x{number}: 1" for number in range(10_000)) + ")}",
    "braces": "{" * 100_000,
    "a long text": '{a(x: "' + "x" * 100_000,
    "a long block": '{a(x: """' + "x\n" * 50_000,
    "escapes in a text": '{a(x: "' + "\\u0041" * 10_000,
    "comments": "# a\n" * 20_000,
    "blanks": "{" + " " * 100_000 + "a}",
}


def records() -> Iterator[tuple[str, Record]]:
    """Name and record of each case."""
    for name, kind, body in bodies():
        headers: tuple[tuple[str, str], ...] = (("Content-Type", kind),)
        sent = body
        if name.startswith("gzip"):
            sent, headers = gzip.compress(body), (*headers, ("Content-Encoding", "gzip"))
        yield name, _record("/a", Message(headers, sent[:LONGEST], len(sent)))
    for name, query in QUERIES.items():
        text = json.dumps({"query": query}).encode()
        yield f"GraphQL: {name}", _record("/graphql", Message((("Content-Type", JSON),), text[:LONGEST], len(text)))
        sent = query.encode()
        headers = (("Content-Type", "application/graphql"),)
        yield f"GraphQL text: {name}", _record("/graphql", Message(headers, sent[:LONGEST], len(sent)))


def _record(path: str, message: Message) -> Record:
    return Record("POST", "https", "shop.example", path, (), message, message, 200, ("10.0.0.1", 5), ("10.0.0.2", 443))


def longest(record: Record, config: AgentConfig) -> float:
    """The longest step of a record's analysis in µs of CPU time, the least of five rounds: noise only adds."""
    settings = read_settings({"api_key": "k", "host": "http://127.0.0.1", "analysis_budget": 100}, {})
    found = []
    for _ in range(ROUNDS):
        steps = Steps()
        inspection = Inspection(settings, print, steps)
        inspection.session(record, config)  # builds what is built once
        steps.begin()
        inspection.analyse(record, config)
        steps()
        found.append(steps.longest * 1e6)
    return min(found)


class Steps:
    """The longest step so far, in seconds of the thread's CPU time."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Forget what was, and begin the first step."""
        self.longest = 0.0
        self._last = time.thread_time()

    def __call__(self) -> None:
        self.longest = max(self.longest, time.thread_time() - self._last)
        self._last = time.thread_time()


def report(shown: int = 12) -> float:
    """Print the longest step of each case, the longest ones first; the longest of all."""
    config = AgentConfig()
    found = sorted(((longest(record, config), name) for name, record in records()), reverse=True)
    print(
        f"longest step between two checks, of {len(found)} kinds of hostile input (promised: {PROMISED:.0f}); CPU in µs"
    )
    for taken, name in found[:shown]:
        print(f"  {name:32} {taken:8.0f}")
    return found[0][0]


def decisions(shown: int = 12) -> float:
    """Print how long the slowest decisions take, in µs of CPU time; the longest of all."""
    settings = read_settings({"api_key": "k", "host": "http://127.0.0.1", "detection": "block"}, {})
    inspection = Inspection(settings, print)
    found = []
    for name, kind, body in hostile.bodies():
        record = _record("/a", Message((("Content-Type", kind),), body, len(body)))
        taken = []
        for _ in range(ROUNDS):
            began = time.thread_time()
            inspection.threat(record)
            taken.append((time.thread_time() - began) * 1e6)
        found.append((min(taken), name))
    found.sort(reverse=True)
    print(f"decision on 64 KiB, of {len(found)} kinds of hostile input (promised: {DECISION:.0f}); CPU in µs")
    for least, name in found[:shown]:
        print(f"  {name:32} {least:8.0f}")
    return found[0][0]


if __name__ == "__main__":
    report(60)
    decisions(60)
