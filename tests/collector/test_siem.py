"""Findings forwarded to a SIEM: nothing twice, nothing lost, in formats as they are published."""

from __future__ import annotations

import json
import os
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metlo_otel.collector.server import RunningCollector
from metlo_otel.collector.siem.cef import cef
from metlo_otel.collector.siem.destinations import FORMATS, DestinationError, read_destination
from metlo_otel.collector.siem.findings import Finding
from metlo_otel.collector.siem.forwarding import forwarding
from metlo_otel.collector.siem.ocsf import ocsf
from tests.collector.client import Client, make_trace
from tests.export.tls import make_certificate

# What the classes require in OCSF 1.3.0 (schema.ocsf.io), and the objects that they have.
_REQUIRED = {"activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid"}
_OF_CLASS: dict[int, set[str]] = {2004: {"finding_info"}, 6003: {"actor", "api", "src_endpoint"}}
_OF_OBJECT = {
    "metadata": {"product", "version"},
    "product": {"vendor_name"},
    "finding_info": {"title", "uid"},
    "api": {"operation"},
    "service": set[str](),
    "http_response": {"code"},
}
_ONE_OF = {
    "actor": {"process", "user", "invoked_by", "session", "app_name", "app_uid"},
    "src_endpoint": {"ip", "uid", "name", "hostname", "svc_name", "instance_uid", "interface_uid", "interface_name"},
    "user": {"account", "name", "uid"},
    "service": {"name", "uid"},
    "evidences": {"actor", "api", "data", "src_endpoint"},
    "resources": {"name", "uid"},
}
_SYSLOG = re.compile(
    r"<(\d{1,3})>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00 \S{1,255} metlo-otel \d+ (attack|block|alert) - (.*)",
    re.S,
)
_EXTENSION = re.compile(r"(\w+)=((?:\\.|[^\\=])*?)(?= \w+=|$)")


def attack(path: str = "/items/1", blocked: bool = False) -> dict[str, Any]:
    """A trace of an attack."""
    trace = make_trace(path, 403 if blocked else 200)
    trace["processedTraceData"] |= {"attackDetections": {"reqQuery.q": ["SQLI"]}, "block": blocked}
    trace["meta"] |= {"traceId": "ab" * 16, "ruleId": "r1" if blocked else None}
    return trace


class Server:
    """A syslog server that takes what comes, over TCP or TLS."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.raw = b""
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            try:
                taken = self._tls.wrap_socket(connection, server_side=True) if self._tls else connection
                with taken:
                    while piece := taken.recv(65_536):
                        self.raw += piece
            except OSError:
                connection.close()

    @property
    def messages(self) -> list[str]:
        """All whole messages, by their counted octets."""
        found, rest = [], self.raw
        while rest:
            count, _, rest = rest.partition(b" ")
            found.append(rest[: int(count)].decode())
            rest = rest[int(count) :]
        return found

    def close(self) -> None:
        """Take nothing more."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(5)


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.close()


def until(is_so: Callable[[], Any], seconds: float = 10.0) -> None:
    """Wait for it; fails where it does not come."""
    tries = threading.Event()
    for _ in range(int(seconds / 0.02)):
        if is_so():
            return
        tries.wait(0.02)
    raise AssertionError(f"this did not come within {seconds} seconds")


def lines(path: Path) -> list[dict[str, Any]]:
    """What a file holds so far."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def test_a_file_of_json_lines(collector: RunningCollector, client: Client, tmp_path: Path) -> None:
    """What comes from now on, each once, also after a restart; only its owner reads the file."""
    path = tmp_path / "findings.jsonl"
    client.post([attack("/before")])
    destination = read_destination(f"file://{path}")
    with forwarding(collector.store, [destination], 0.02):
        until(lambda: _states(collector))
        client.post([attack("/items/1"), attack("/items/2", blocked=True)])
        until(lambda: {"attack", "block"} <= {each["kind"] for each in lines(path)} and len(lines(path)) >= 3)
    client.post([attack("/while/away")])
    with forwarding(collector.store, [destination], 0.02):
        until(lambda: any(each.get("path") == "/while/away" for each in lines(path)))
    found = [(each["kind"], each["id"]) for each in lines(path)]
    assert len(found) == len(set(found))
    paths = [each["path"] for each in lines(path) if each["kind"] == "attack"]
    assert paths == ["/items/1", "/items/2", "/while/away"]
    (block,) = [each for each in lines(path) if each["kind"] == "block"]
    assert (block["blocked"], block["rule"], block["status"]) == (True, "r1", 403)
    assert os.stat(path).st_mode & 0o077 == 0


def _states(collector: RunningCollector) -> bool:
    from sqlalchemy import text

    found = text("SELECT count(*) FROM settings WHERE name LIKE 'forwarded %'")
    return bool(collector.store.read(lambda connection: connection.execute(found).scalar()))


def test_cef_over_syslog(collector: RunningCollector, client: Client, server: Server) -> None:
    """Each finding is a message of RFC 5424 whose octets are counted."""
    with forwarding(collector.store, [read_destination(f"syslog://127.0.0.1:{server.port}")], 0.02):
        until(lambda: _states(collector))
        client.post([attack("/items/1", blocked=True)])
        until(lambda: any(" attack - " in each for each in server.messages))
    told = [found for each in server.messages if (found := _SYSLOG.fullmatch(each))]
    assert len(told) == len(server.messages)
    (message,) = [found[3] for found in told if found[2] == "attack"]
    assert message.startswith("CEF:0|metlo-otel|collector|")
    assert "|SQLI|SQLI in reqQuery.q|" in message
    extension = dict(_EXTENSION.findall(message.rpartition("|")[2]))
    assert (extension["src"], extension["act"], extension["request"]) == ("192.0.2.7", "blocked", "/items/1")


def test_over_tls(collector: RunningCollector, client: Client, tmp_path: Path) -> None:
    """To a server whose certificate is trusted; to another one nothing is sent."""
    certificate, key = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = Server(context)
    trusted = read_destination(f"syslog+tls://127.0.0.1:{server.port}?ca={certificate}&format=ocsf")
    with forwarding(collector.store, [trusted], 0.02):
        until(lambda: _states(collector))
        client.post([attack()])
        until(lambda: any(" attack - " in each for each in server.messages))
    finding = Finding("attack", 1, 1, "high", "t")
    with pytest.raises(OSError, match="certificate"):
        read_destination(f"syslog+tls://127.0.0.1:{server.port}").send([finding])
    server.close()


def test_a_destination_that_is_away(collector: RunningCollector, client: Client, tmp_path: Path) -> None:
    """Another one is not held up by it, and it gets all once it is back."""
    gone = Server()
    gone.close()
    path = tmp_path / "findings.jsonl"
    both = [read_destination(f"syslog://127.0.0.1:{gone.port}"), read_destination(f"file://{path}")]
    with forwarding(collector.store, both, 0.02):
        until(lambda: _states(collector))
        threading.Event().wait(0.2)
        client.post([attack("/items/1")])
        until(lambda: any(each["kind"] == "attack" for each in lines(path)))
        back = socket.create_server(("127.0.0.1", gone.port))
        back.settimeout(10)
        connection, _ = back.accept()
        with connection:
            connection.settimeout(10)
            raw = connection.recv(65_536)
        back.close()
    assert b"SQLI" in raw


def _check_object(name: str, value: dict[str, Any]) -> None:
    assert _OF_OBJECT.get(name, set()) <= value.keys(), name
    assert name not in _ONE_OF or _ONE_OF[name] & value.keys(), name
    for inner, found in value.items():
        for each in found if isinstance(found, list) else [found]:
            if isinstance(each, dict):
                _check_object(inner, each)


_TEXT = st.none() | st.text(max_size=20)
_FINDINGS = st.builds(
    Finding,
    st.sampled_from(["attack", "block", "alert"]),
    st.integers(1, 2**60),
    st.integers(0, 2**42),
    st.sampled_from(["low", "medium", "high"]),
    st.text(max_size=20),
    st.text(max_size=20),
    _TEXT,
    st.none() | st.sampled_from(["GET", "POST", "DELETE", "_OTHER"]),
    _TEXT,
    st.none() | st.integers(0, 599),
    _TEXT | st.sampled_from(["192.0.2.1", "2001:db8::1"]),
    _TEXT,
    _TEXT,
    st.booleans(),
    st.sampled_from([None, "low", "high"]),
    _TEXT,
    _TEXT,
    _TEXT,
)


@given(_FINDINGS)
def test_ocsf_has_what_its_schema_requires(finding: Finding) -> None:
    """Of every finding, whatever is known of it: attributes of the class, of the objects in it, and ids that agree."""
    event = ocsf(finding)
    assert (_REQUIRED | _OF_CLASS[event["class_uid"]]) <= event.keys()
    assert event["type_uid"] == event["class_uid"] * 100 + event["activity_id"]
    assert event["category_uid"] == event["class_uid"] // 1000
    _check_object("event", event)
    assert event["disposition_id"] == (2 if finding.blocked else 1)


@given(_FINDINGS)
def test_cef_is_one_line_that_can_be_read_again(finding: Finding) -> None:
    """No client's text begins another line, field or key."""
    line = cef(finding)
    assert line.isprintable()
    header, extension = re.split(r"(?<!\\)(?:\\\\)*\|", line)[:7], re.split(r"(?<!\\)(?:\\\\)*\|", line, maxsplit=7)[7]
    assert len(header) == 7
    found = dict(_EXTENSION.findall(extension))
    assert found["externalId"] == f"{finding.kind}-{finding.id}"
    assert found["act"] == ("blocked" if finding.blocked else "allowed")


@given(_FINDINGS, st.sampled_from(sorted(FORMATS)))
def test_every_format_is_one_line(finding: Finding, form: str) -> None:
    """A file of lines has one for each finding."""
    assert "\n" not in FORMATS[form](finding)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://siem", "syslog://HOST:514"),
        ("syslog://", "syslog://HOST:514"),
        ("syslog://siem:99999", "range"),
        ("syslog://siem?format=xml", "one of json, ocsf, cef"),
        ("syslog://siem?what=1", "format and ca"),
        ("syslog+tls://siem?ca=/not/there", "cannot be read"),
        ("file://relative/path", "file:///PATH"),
    ],
)
def test_wrong_destinations(url: str, words: str) -> None:
    """An error says what would be right."""
    with pytest.raises(DestinationError, match=words):
        read_destination(url)
