"""The HTTP surface, spoken to over a socket."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import zlib
from typing import Any
from urllib.parse import urlsplit

import pytest

from metlo_otel.collector.server import RunningCollector
from metlo_otel.core.agent_config import parse_agent_config
from tests.collector.client import KEY, READ_KEY, Client, make_trace


def _raw(collector: RunningCollector, *pieces: bytes) -> bytes:
    """The whole answer to bytes sent as they are, the connection closed by the collector."""
    address = urlsplit(collector.url)
    with socket.create_connection((address.hostname, address.port or 0), timeout=10) as connection:
        try:
            for piece in pieces:
                connection.sendall(piece)
        except OSError:
            pass  # it may have closed already, which is what it is asked to do
        answer = b""
        try:
            while piece := connection.recv(65_536):
                answer += piece
        except ConnectionResetError:
            pass
        return answer


def test_the_ways_of_an_agents_start(client: Client) -> None:
    """The backend greets anybody; verify tells a valid key from others, in the words of the contract."""
    assert client.get("/api/v1", headers={"Authorization": ""}).text == "OK"
    assert (client.get("/api/v1/verify").status_code, client.get("/api/v1/verify").text) == (200, "OK")
    refused = client.get("/api/v1/verify", headers={"Authorization": "Bearer " + KEY})
    assert (refused.status_code, refused.text) == (401, "Client unauthorized")


def test_agent_config(client: Client, collector: RunningCollector) -> None:
    """It needs the key, parses without a complaint, has an ETag that holds while nothing changes and then does not."""
    assert client.get("/api/v1/agent-config", headers={"Authorization": "guess"}).status_code == 401
    first = client.get("/api/v1/agent-config")
    complaints: list[str] = []
    config = parse_agent_config(first.json(), complaints.append)
    assert not complaints
    assert not config.full_capture
    assert config.data_classes
    same = client.get("/api/v1/agent-config", headers={"If-None-Match": f'"x", W/{first.headers["ETag"]}'})
    assert (same.status_code, same.content) == (304, b"")
    collector.store.configure("globalFullTraceCapture", True)
    changed = client.get("/api/v1/agent-config", headers={"If-None-Match": first.headers["ETag"]})
    assert changed.status_code == 200
    assert changed.json()["globalFullTraceCapture"] is True


@pytest.mark.parametrize(
    ("user_agent", "served"),
    [("metlo-otel/0.3.0", True), ("python-requests/2.32.0", False), ("metlo/0.1.5", False), ("", False)],
)
def test_only_our_own_agents_are_told_of_aggregates(client: Client, user_agent: str, served: bool) -> None:
    """The document of original agents has no field more than they know; ours are told that sums are taken."""
    document = client.get("/api/v1/agent-config", headers={"User-Agent": user_agent}).json()
    assert ("aggregates" in document) is served
    assert parse_agent_config(document, lambda _problem: None).aggregates is served


@pytest.mark.parametrize("value", [None, "true", 1, 0, [True], {}, False])
def test_aggregates_are_sent_only_where_they_are_asked_for(value: object) -> None:
    """Whatever else a backend may mean by the field, only `true` is taken for it."""
    assert parse_agent_config({"aggregates": value}, lambda _problem: None).aggregates is False


def test_configuring_what_does_not_exist(collector: RunningCollector) -> None:
    """A part that agent-config does not have is an error with the list of parts."""
    with pytest.raises(KeyError, match="globalFullTraceCapture"):
        collector.store.configure("fullCapture", True)


def test_recordings_land(client: Client, recorded: list[tuple[str, dict[str, Any]]]) -> None:
    """All that the original agent sent is taken with OK and comes out as it went in."""
    sent = []
    for _, case in recorded:
        for call in case["agent_sent"]:
            if call["method"] == "POST" and "json" in call:
                answer = client.session.post(client.url + call["path"], json=call["json"], timeout=10)
                assert (answer.status_code, answer.text) == (200, "OK")
                sent += call["json"]
    stored = [item["id"] for item in client.items("traces", limit=500)][::-1]
    whole = [trace for trace in sent if trace["analysisType"] == "full" or _found_something(trace)]
    assert len(whole) >= 50
    assert [client.read(f"/api/v1/traces/{number}").json()["trace"] for number in stored] == whole
    assert sum(item["calls"] for item in client.items("endpoints", limit=500)) == len(sent)


def _found_something(trace: dict[str, Any]) -> bool:
    processed = trace["processedTraceData"]
    return bool(processed.get("attackDetections") or processed.get("block"))


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("form", ["single", "batch"])
def test_both_versions_and_forms(client: Client, version: int, form: str) -> None:
    """One trace or many, raw or analysed."""
    trace = make_trace()
    answer = client.post(trace if form == "single" else [trace, trace], f"v{version}/log-request/{form}")
    assert (answer.status_code, answer.text) == (200, "OK")
    assert [item["version"] for item in client.items("traces")] == [version] * (1 if form == "single" else 2)


def test_encodings(client: Client) -> None:
    """gzip and deflate, the latter with and without zlib's header."""
    body = json.dumps([make_trace()]).encode()
    assert client.post(gzip.compress(body), Content_Encoding="gzip").text == "OK"
    assert client.post(zlib.compress(body), Content_Encoding="deflate").text == "OK"
    assert client.post(zlib.compress(body)[2:-4], Content_Encoding="deflate").text == "OK"
    assert len(client.items("traces")) == 3


def test_a_broken_trace_does_not_lose_the_others(client: Client) -> None:
    """The answer tells which trace of a batch was not taken and why; the others are stored."""
    broken = make_trace(response={"status": "fine"})
    answer = client.post([make_trace(), broken, 7, make_trace("/\ud800")])
    assert answer.status_code == 200
    assert answer.json() == {
        "accepted": 2,
        "rejected": 2,
        "problems": [
            {
                "index": 1,
                "where": "response.status",
                "reason": "a whole number from 100 to 599 is expected, not 'fine'",
            },
            {"index": 2, "where": "trace", "reason": "an object is expected, not 7"},
        ],
    }
    assert [item["path"] for item in client.items("traces")] == ["/\ufffd", "/items/1"]


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"[]", {"Authorization": "guess"}, 401),
        (b"[]", {"Authorization": ""}, 401),
        (b"[]", {"Content_Type": "text/plain"}, 415),
        (b"[]", {"Content_Encoding": "br"}, 415),
        (b"[]", {"Content_Encoding": "gzip"}, 400),
        (b"{}", {}, 400),
        (b"", {}, 400),
        (b"[NaN]", {}, 400),
        (b"[" * 500_000, {}, 400),
        (b"[7]", {}, 400),
        (b" " * 2_097_153, {}, 413),
        (b" " * 4_000_000, {}, 413),
        (gzip.compress(bytes(50_000_000)), {"Content_Encoding": "gzip"}, 413),
    ],
)
def test_refusals(client: Client, body: bytes, headers: dict[str, str], status: int) -> None:
    """What is wrong with a request is said in JSON, nothing is stored, and the next request is answered."""
    answer = client.post(body, **headers)
    assert answer.status_code == status
    assert answer.json()["error"]
    assert client.post([]).text == "OK"
    assert client.items("traces") == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/api/v1/nothing", 404),
        ("POST", "/api/v3/log-request/batch", 404),
        ("POST", "/api/v2/log-request/many", 404),
        ("DELETE", "/api/v1/traces", 405),
        ("GET", "/api/v2/log-request/batch", 405),
        ("GET", "/api/v1/traces/77", 404),
        ("GET", "/api/v1/traces/x%00y", 400),
        ("GET", "/api/v1/traces?status=abc", 400),
        ("GET", "/api/v1/endpoints?limit=9999999", 400),
    ],
)
def test_wrong_questions(client: Client, method: str, path: str, status: int) -> None:
    """Every wrong question has its status and a sentence in JSON."""
    answer = client.session.request(method, client.url + path, headers={"Authorization": READ_KEY}, timeout=10)
    assert answer.status_code == status
    assert answer.json()["error"]


@pytest.mark.parametrize("path", ["traces", "traces/1", "endpoints", "attacks", "actors", "alerts"])
def test_reading_needs_a_key_of_its_own(client: Client, path: str) -> None:
    """What agents sent in is not for everybody on the machine, nor for every app that has an agent's key."""
    client.post([make_trace()])
    for key in ("guess", "", KEY):
        answer = client.get(f"/api/v1/{path}", headers={"Authorization": key})
        assert answer.status_code == 401
        assert "shop.example" not in answer.text
    assert client.read(f"/api/v1/{path}").status_code == 200


def test_a_key_for_reading_is_no_agents(client: Client) -> None:
    """It reports nothing and reads no configuration."""
    for path in ("verify", "agent-config"):
        assert client.read(f"/api/v1/{path}").status_code == 401
    assert client.post([make_trace()], Authorization=READ_KEY).status_code == 401
    assert client.items("traces") == []


@pytest.mark.parametrize(
    "pieces",
    [
        (b"GET /api/v1 HTTP/1.1\r\nHost: x\r\nX-Long: ", *[b"a" * 1_000_000] * 10, b"\r\n\r\n"),
        (b"GET /" + b"a" * 10_000_000 + b" HTTP/1.1\r\n\r\n",),
        (b"\x16\x03\x01\x02\x00\x01\x00",),
        (b"POST /api/v2/log-request/batch HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",),
        (b"POST /api/v2/log-request/batch HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",),
        (b"GET /api/v1 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",),
    ],
    ids=["10 MB header", "10 MB target", "TLS", "negative length", "two lengths", "two hosts"],
)
def test_what_is_hardly_http(client: Client, collector: RunningCollector, pieces: tuple[bytes, ...]) -> None:
    """Bytes that are no proper request are answered with 400 or cut off, and the collector goes on."""
    assert _raw(collector, *pieces)[:12] in (b"HTTP/1.1 400", b"")
    assert client.get("/api/v1/verify").text == "OK"


@pytest.mark.parametrize(
    "head", [b"", b"GET /api/v1 HTTP/1.1\r\nHost:", b"GET /api/v1 HTTP/1.1\r\nHost: x\r\n\r\nGET /"]
)
def test_slow_headers(collector: RunningCollector, head: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection whose headers do not come is closed, also where earlier requests were answered on it."""
    monkeypatch.setattr("metlo_otel.collector.server._HEADERS_TIME", 0.2)
    answer = _raw(collector, head)
    assert answer.count(b"HTTP/1.1 200") == head.count(b"\r\n\r\n")


def test_a_slow_body(client: Client, collector: RunningCollector, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that does not come in time is answered with 408."""
    monkeypatch.setattr("metlo_otel.collector.api._BODY_TIME", 0.2)
    monkeypatch.setattr("metlo_otel.collector.api._DRAIN_TIME", 0.2)
    head = f"POST /api/v2/log-request/batch HTTP/1.1\r\nHost: x\r\nAuthorization: {KEY}\r\n"
    answer = _raw(collector, head.encode() + b"Content-Type: application/json\r\nContent-Length: 9\r\n\r\n[")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert client.items("traces") == []


def test_a_client_that_goes_away(client: Client, collector: RunningCollector) -> None:
    """A body that never comes whole stores nothing and harms nobody."""
    address = urlsplit(collector.url)
    head = f"POST /api/v2/log-request/batch HTTP/1.1\r\nHost: x\r\nAuthorization: {KEY}\r\n"
    with socket.create_connection((address.hostname, address.port or 0), timeout=10) as connection:
        connection.sendall(head.encode() + b"Content-Type: application/json\r\nContent-Length: 999\r\n\r\n[")
    assert client.post([make_trace()]).text == "OK"
    assert len(client.items("traces")) == 1


def test_many_agents_at_once(client: Client, collector: RunningCollector) -> None:
    """Batches that come at the same time are all counted and stored."""

    def send(number: int) -> None:
        for _ in range(5):
            assert Client(collector.url).post([make_trace(f"/way-{'abcdefgh'[number]}")] * 4).text == "OK"

    senders = [threading.Thread(target=send, args=(number,)) for number in range(8)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert [item["calls"] for item in client.items("endpoints")] == [20] * 8
    assert len(client.items("traces", limit=500)) == 160


def test_a_database_that_takes_nothing(client: Client, collector: RunningCollector) -> None:
    """While the tables are gone, batches get an error and not 200; afterwards they are taken again."""
    collector.store.change(lambda connection: connection.exec_driver_sql("ALTER TABLE traces RENAME TO away")).result()
    answer = client.post([make_trace()])
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert answer.json()["error"]
    collector.store.change(lambda connection: connection.exec_driver_sql("ALTER TABLE away RENAME TO traces")).result()
    assert client.post([make_trace()]).text == "OK"
    assert [item["calls"] for item in client.items("endpoints")] == [1]
