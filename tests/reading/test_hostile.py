"""Hostile requests: nothing raises, and work and memory are bounded, which what was not read tells of.

`make hostile` tries 20,000 generated ones, `make test` some of them. How long it takes is measured by
`python -m benchmarks.steps`.
"""

from __future__ import annotations

import gzip
import os
import random
import tracemalloc
from collections import deque
from collections.abc import Callable
from dataclasses import replace

import pytest

from benchmarks.hostile import SIZE, bodies
from metlo_otel.analysis.inspection import Inspection
from metlo_otel.core.agent_config import AgentConfig
from metlo_otel.core.portions import Packed
from metlo_otel.core.record import Message, Record
from metlo_otel.core.settings import read_settings
from metlo_otel.core.turns import Patience, no_turn
from metlo_otel.reading.fields import Fields, read_request, read_to_inspect
from metlo_otel.reading.multipart import MAX_PARTS
from metlo_otel.reading.nodes import MAX_NODES
from metlo_otel.reading.plausible import Plausible
from metlo_otel.reading.record import query_pairs

GENERATED = 20_000 if os.environ.get("METLO_HOSTILE") == "all" else 300
BLOCK = 100
KINDS = [(kind, body) for _, kind, body in bodies()]
NAMES = [name for name, _, _ in bodies()]
TYPES = [
    *sorted({kind for kind, _ in KINDS}),
    "application/graphql",
    "image/png",
    "a/b; charset=utf-16",
    "text/plain; charset=idna",
    "application/json; charset=undefined",
    "multipart/form-data",
    "multipart/form-data; boundary=",
    'multipart/form-data; boundary="',
    "\0",
]
CODINGS = ["", "", "gzip", "br", "deflate, gzip", "gzip" + ", gzip" * 9, "identity,,"]
PIECES = [
    *(b"'", b'"', b"<a ", b"%27", b"&#x27;", b"{", b"[", b"}", b"]", b"&a=", b"\\u0027", b"\\ud800", b"\0", b" or "),
    *(b"--B\r\n", b"--B--", b"\r\n\r\n", b"\n", b"\r", b'Content-Disposition: form-data; name="', b"name*=x'y'%", b";"),
    *(b"\xff\xfe", b"\xef\xbb\xbf", b"NaN", b"1e999", b"-", b":", b",", b"=", b"+", b"a" * 70, b"query{a(b:", b'"""'),
]
INSPECTION = Inspection(
    read_settings({"api_key": "k", "host": "http://127.0.0.1:1", "detection": "block", "analysis_budget": 100}, {}),
    lambda _: None,
)


def record(body: bytes, kind: str, coding: str = "", query: str = "") -> Record:
    headers = (("Content-Type", kind), ("Content-Encoding", coding), ("Cookie", query))
    message = Message(headers, body, len(body), sent=body if coding else None)
    return Record("POST", "http", "h", "/graphql", (), message, message, 200, ("192.0.2.1", 1), ("", None), None, None)


def generated(seed: int) -> Record:
    """A request of pieces: as often as not one of the known kinds, cut and damaged."""
    chance = random.Random(seed)
    kind, body = chance.choice(KINDS)
    if chance.random() < 0.7:
        pieces = [chance.choice(PIECES) for _ in range(chance.randrange(1, 60))]
        body = b"".join(piece * chance.choice((1, 1, 1, 2, 40)) for piece in pieces)
    else:
        start = chance.randrange(2000)
        body = body[start : start + chance.randrange(4000)] + chance.randbytes(chance.randrange(8))
    if chance.random() < 0.5:
        kind = chance.choice(TYPES)
    coding = chance.choice(CODINGS)
    if coding.startswith("gzip") and chance.random() < 0.7:
        body = gzip.compress(body, 1)[: chance.randrange(20, 9000)]
    return record(body, kind, coding, body[:200].decode("latin-1"))


@pytest.mark.parametrize("first", range(0, GENERATED, BLOCK))
def test_no_hostile_request_raises(first: int) -> None:
    """Rules, detection and analysis read whatever comes, and what is bounded stays so."""
    config = AgentConfig()
    for seed in range(first, first + BLOCK):
        sent = generated(seed)
        INSPECTION.threat(sent)
        INSPECTION.analyse(sent, config)
        read = Plausible("reqBody", sent.request, SIZE)
        assert all(isinstance(text, str) for text in read.values())
        assert sum(len(str(value)) for _, value, _ in read.fields()) <= 8 * SIZE, seed


@pytest.mark.parametrize(("kind", "body"), KINDS, ids=NAMES)
def test_parts_are_bounded(kind: str, body: bytes) -> None:
    """So many fields are told of a body; what is looked at beyond is bounded too, or as long as the body."""
    read = read_request(record(body, kind))
    assert len(read.sent) <= 2 * MAX_NODES + 10
    assert sum(len(str(value)) for _, value, _ in read.more) <= 4 * SIZE
    assert set(read.incomplete) <= {"parts"}


def test_the_bound_is_told() -> None:
    """Up to the bound all parts of multipart are read, and what lies beyond is known."""
    kind = "multipart/form-data; boundary=B"
    assert walked(record(b"--B\r\n\r\n" * MAX_PARTS, kind)).incomplete == ()
    assert walked(record(b"--B\r\n\r\n" * (MAX_PARTS + 2), kind)).incomplete == ("parts",)


@pytest.mark.parametrize("pair", [b"a&", b"a=b&", b"first_name=Anna&", b"&", b"a[]=1&"])
@pytest.mark.parametrize("place", ["body", "query"])
def test_no_form_has_too_many_pairs(pair: bytes, place: str) -> None:
    """However many harmless pairs stand before an attack in a form or query, it is found, and in time."""
    text = pair * ((SIZE - 200) // len(pair) // 2) + b"q=1%27+union+select+name,+password+from+users--"
    if place == "body":
        sent = record(text, "application/x-www-form-urlencoded")
    else:
        sent = replace(record(b"", ""), raw_query=text.decode(), query=query_pairs(text.decode()))
    threat = INSPECTION.threat(sent)
    assert threat.finding is not None
    assert threat.key == ("reqBody.q" if place == "body" else "reqQuery.q")


@pytest.mark.parametrize("item", [b'{"a":"x"}', b"{}", b'"a"', b'{"id":1,"b":[true]}', b"[[]]"])
@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
def test_no_document_has_too_many_parts(item: bytes, kind: str) -> None:
    """JSON of very many small parts is read to its end: in time, and an attack in the last one is found."""
    count = (SIZE - 200) // (len(item) + 1) // 2
    harmless = b"[" + b",".join([item] * count) + b"]"
    assert walked(record(harmless, kind)).incomplete == ()
    attack = harmless[:-1] + b',{"last":"1\' union select password from users--"}]'
    found = [(key, value) for key, value, _ in read_request(record(attack, kind)).more if "union" in str(value)]
    assert found == [("reqBody.[].last", "1' union select password from users--")]


def walked(sent: Record) -> Fields:
    """The fields of a request, all walked, so that it is known what was left out."""
    read = read_request(sent)
    deque(read.inspected, 0)
    return read


@pytest.mark.parametrize(("kind", "body"), KINDS, ids=NAMES)
def test_readers_stop_when_the_time_is_over(kind: str, body: bytes) -> None:
    """Every reader asks between its steps whether there is time for more, and stops where there is none."""
    more = list(read_request(record(body, kind), lambda: True).more)
    assert len(more) <= 800
    threat = INSPECTION.threat(record(body, kind))
    assert threat.finding is None or threat.finding.confidence == "high"


def test_time_for_bytes() -> None:
    """Looking may take 4.2 ms for each started 64 KiB; what is short is read whatever the clock says."""
    now = [0.0]
    for size, seconds in ((SIZE, 0.0042), (SIZE + 1, 0.0084), (8193, 0.0042)):
        now[0] = 0.0
        patience = Patience(size, lambda: now[0])
        now[0] = seconds
        assert not patience()
        now[0] += 0.001
        assert patience()
        now[0] = 0.0
        assert patience()
    now[0] = 0.0
    patience = Patience(8192, lambda: now[0])
    now[0] = 9.0
    assert not patience()


WIDE = {"UTF-16", "every byte"}  # their characters take two bytes, and there are two readings of them


@pytest.mark.parametrize("look", ["detection", "rules", "worker"])
@pytest.mark.parametrize(("name", "kind", "body"), list(bodies()), ids=NAMES)
def test_memory_is_bounded(name: str, kind: str, body: bytes, look: str) -> None:
    """What detection holds of a request at once is at most four times what is inspected, whatever it is made of.

    Rules hold every reading for the next rule, and the worker holds what is told beside; what is wide counts twice.
    """
    looks: dict[str, Callable[[], object]] = {
        "detection": lambda: deque(read_to_inspect(record(body, kind), no_turn, SIZE).inspected, 0),
        "rules": lambda: Packed(Plausible("reqBody", record(body, kind).request, SIZE).values()),
        "worker": lambda: deque(read_request(record(body, kind)).inspected, 0),
    }
    most = SIZE * (4 if look == "detection" else 6) * (2 if name in WIDE else 1)
    least = min(peak(looks[look]) for _ in range(3))  # threads that earlier tests left behind are counted, too
    assert least <= most + 16_384  # lists and tables grow by steps


def peak(call: Callable[[], object]) -> int:
    """The bytes that a call holds at once, beyond what is kept for the next one."""
    tracemalloc.start()
    try:
        call()
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        call()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
