"""EXPORT="otlp": an app without any Metlo collector tells a plain OTLP receiver all that is found."""

from __future__ import annotations

import gzip
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import flask
import pytest

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the extra otlp is not installed")
pytest.importorskip("opentelemetry.sdk._logs", reason="the extra otlp is not installed")
try:
    from opentelemetry.sdk._logs import ReadableLogRecord  # noqa: F401 - whether these versions have it
except ImportError:
    pytest.skip("the extra otlp needs newer versions of OpenTelemetry", allow_module_level=True)

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind

from metlo_otel.core.settings import SettingsError, read_settings
from metlo_otel.flask import MetloFlask
from tests.export.loopback import Metlo

_MESSAGES: dict[str, Any] = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/logs": ExportLogsServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
}
_NAMES = re.compile(r"\b(?:metlo|security_rule|client|http|data)_\w+")
_SECRET, _CARD = "s3cr3t-value-of-a-client", "4111 1111 1111 1111"
_ATTACK = "1' OR '1'='1' --"


class Receiver:
    """A plain OTLP/HTTP receiver: what it was sent, decoded, and as bytes."""

    def __init__(self) -> None:
        self.got: dict[str, list[Any]] = {path: [] for path in _MESSAGES}
        self.raw = b""
        self.status = 200

    @property
    def spans(self) -> list[Any]:
        """All spans."""
        groups = [group for message in self.got["/v1/traces"] for group in message.resource_spans]
        return [span for group in groups for scope in group.scope_spans for span in scope.spans]

    @property
    def records(self) -> list[Any]:
        """All log records."""
        groups = [group for message in self.got["/v1/logs"] for group in message.resource_logs]
        return [record for group in groups for scope in group.scope_logs for record in scope.log_records]

    @property
    def metrics(self) -> dict[str, Any]:
        """The metrics by name; the last counts."""
        groups = [group for message in self.got["/v1/metrics"] for group in message.resource_metrics]
        return {each.name: each for group in groups for scope in group.scope_metrics for each in scope.metrics}


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    found = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
            found.raw += body
            found.got[self.path].append(_MESSAGES[self.path].FromString(body))
            self.send_response(found.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
        monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
        yield found
        server.shutdown()
        thread.join()


@contextmanager
def shop(**options: Any) -> Iterator[Any]:
    """A client of an app with the agent; at the end all is sent."""
    app = flask.Flask("shop")

    @app.route("/users/<int:number>", methods=["GET", "POST"])
    def user(number: int) -> dict[str, Any]:
        flask.request.get_data()
        return {"id": number, "email": "ann@shop.example", "card": _CARD}

    metlo = MetloFlask(app, **{"EXPORT": "otlp", **options})
    try:
        yield app.test_client()
    finally:
        assert metlo.agent is not None
        metlo.agent.shutdown(5)


def data_points_of(metric: Any) -> list[Any]:
    """The points of an exponential histogram."""
    return list(metric.exponential_histogram.data_points)


def named(attributes: Any) -> dict[str, Any]:
    """Attributes of a message by name."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value") or "string_value") for pair in attributes}


def test_an_attack_is_a_log_record_of_its_trace(receiver: Receiver) -> None:
    """Its event name, severity, what and where it was, by whom, and the id of the caller's trace."""
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with shop(TRUSTED_PROXIES="127.0.0.1") as client:
        client.post(
            "/users/7", json={"name": _ATTACK}, headers={"traceparent": traceparent, "X-Forwarded-For": "203.0.113.9"}
        )
    (record,) = [each for each in receiver.records if each.event_name == "metlo.attack"]
    found = named(record.attributes)
    assert record.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
    assert record.severity_text in ("ERROR", "WARN")
    assert "SQLI in reqBody.name of POST /users/{number}" in record.body.string_value
    assert found["metlo.attack.type"] == "SQLI"
    assert found["metlo.attack.field"] == "reqBody.name"
    assert (found["http.route"], found["http.response.status_code"]) == ("/users/{number}", 200)
    assert (found["client.address"], found["url.path"]) == ("203.0.113.9", "/users/7")
    (span,) = receiver.spans
    assert (span.trace_id, span.span_id) == (record.trace_id, record.span_id)
    assert span.parent_span_id.hex() == "b7ad6b7169203331"
    (group,) = receiver.got["/v1/logs"][0].resource_logs
    assert named(group.resource.attributes)["service.name"] == "shop"


def test_settings_name_the_resource(receiver: Receiver) -> None:
    """SERVICE_NAME and ENVIRONMENT are on the resource, before what OpenTelemetry's variables say."""
    with shop(SERVICE_NAME="till", ENVIRONMENT="eu") as client:
        client.get("/users/7")
    (group,) = receiver.got["/v1/traces"][0].resource_spans
    found = named(group.resource.attributes)
    assert (found["service.name"], found["deployment.environment.name"]) == ("till", "eu")
    assert found["service.instance.id"]


def test_a_block_names_its_rule(receiver: Receiver) -> None:
    """As the semantic conventions have rules, with the rule of a file."""
    rule = {"name": "no bots", "block": True, "header": {"user-agent": {"contains": "bot"}}}
    with shop(RULES=[rule]) as client:
        assert client.get("/users/7", headers={"User-Agent": "bot/1"}).status_code == 403
    (record,) = [each for each in receiver.records if each.event_name == "metlo.block"]
    found = named(record.attributes)
    assert found["security_rule.name"] == "no bots"
    assert (found["security_rule.category"], found["metlo.blocked"]) == ("block", True)
    assert found["http.response.status_code"] == 403


def test_sensitive_data_is_told_of_once(receiver: Receiver) -> None:
    """A class in a field of an endpoint is news the first time."""
    with shop() as client:
        for number in range(4):
            client.get(f"/users/{number}")
    told = [named(each.attributes) for each in receiver.records if each.event_name == "metlo.sensitive_data"]
    fields = [(each["metlo.data.class"], each["metlo.data.field"]) for each in told]
    assert ("Email", "resBody.email") in fields
    assert len(fields) == len(set(fields))


def test_counts_are_metrics(receiver: Receiver) -> None:
    """All requests are in a histogram by route and status, however few have a span of their own."""
    with shop() as client:
        for _ in range(60):
            client.get("/users/7")
        client.get("/nothing")
    metric = receiver.metrics["metlo.http.server.request.duration"]
    assert metric.unit == "us"
    points = {
        named(each.attributes)["http.response.status_code"]: each for each in metric.exponential_histogram.data_points
    }
    assert {status: point.count for status, point in points.items()} == {200: 60, 404: 1}
    assert named(points[200].attributes)["http.route"] == "/users/{number}"
    assert sum(points[200].positive.bucket_counts) == 60
    assert points[200].min <= points[200].sum / 60 <= points[200].max
    assert len(receiver.spans) < 60
    (exemplar,) = points[200].exemplars
    span = next(each for each in receiver.spans if each.span_id == exemplar.span_id)
    assert (exemplar.trace_id, exemplar.time_unix_nano) == (span.trace_id, span.end_time_unix_nano)
    assert abs(exemplar.as_double - (span.end_time_unix_nano - span.start_time_unix_nano) / 1_000) < 1
    assert points[200].min * 0.99 <= exemplar.as_double <= points[200].max * 1.01


@pytest.mark.parametrize("asked", [None, "markers", "none", "headers", "bodies"])
def test_content_leaves_only_where_it_is_asked_for(receiver: Receiver, asked: str | None) -> None:
    """Of parameters, headers, bodies and users nothing is in any message, unless SPAN_ATTRIBUTES says so; masked
    fields never.
    """
    with shop(SPAN_ATTRIBUTES=asked, GET_USER=lambda _request: "user-ann") as client:
        client.post(
            f"/users/7?q={_SECRET}-query",
            json={"name": _ATTACK, "note": _SECRET + "-body", "password": "never-told"},
            headers={"X-Note": _SECRET + "-header", "Authorization": "Bearer never-told"},
        )
    assert receiver.records
    assert receiver.spans
    has = {what: f"{_SECRET}-{what}".encode() in receiver.raw for what in ("query", "header", "body")}
    with_bodies = asked == "bodies"
    assert has == {"query": with_bodies, "header": asked in ("headers", "bodies"), "body": with_bodies}
    assert (b"user-ann" in receiver.raw) is (asked in ("headers", "bodies"))
    assert (_ATTACK.encode() in receiver.raw) is with_bodies
    assert (_CARD.encode() in receiver.raw) is with_bodies
    assert b"never-told" not in receiver.raw


def test_an_app_with_spans_of_its_own_has_none_of_ours(receiver: Receiver) -> None:
    """Its SDK exports that span; the log records are in its trace."""
    tracer = TracerProvider().get_tracer("app")
    with shop() as client, tracer.start_as_current_span("GET", kind=SpanKind.SERVER) as span:
        client.get("/users/7", headers={"X-Note": _ATTACK})
    context = span.get_span_context()
    (record,) = [each for each in receiver.records if each.event_name == "metlo.attack"]
    assert (int.from_bytes(record.trace_id, "big"), int.from_bytes(record.span_id, "big")) == (
        context.trace_id,
        context.span_id,
    )
    assert receiver.spans == []


def test_beside_a_metlo_collector(receiver: Receiver) -> None:
    """Both are told; what one does not take does not keep it from the other."""
    metlo = Metlo()
    receiver.status = 400
    with shop(EXPORT="metlo,otlp", HOST=metlo.url, API_KEY="key", COLLECTOR_PORT=metlo.port) as client:
        client.get("/users/7", headers={"X-Note": _ATTACK})
    assert [trace["request"]["url"]["path"] for trace in metlo.traces()] == ["/users/7"]
    assert any(each.event_name == "metlo.attack" for each in receiver.records)
    metlo.close()


def test_a_receiver_that_is_away(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The app goes on, what is lost is counted, and the log says so once."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    app = flask.Flask("shop")
    metlo = MetloFlask(app, EXPORT="otlp")
    client = app.test_client()
    assert [client.get("/nothing").status_code for _ in range(3)] == [404] * 3
    assert metlo.agent is not None
    metlo.agent.shutdown(8)
    assert metlo.agent.stats().dropped
    assert sum("OTLP receiver did not take" in each.message for each in caplog.records) == 1


@pytest.mark.parametrize(
    ("given", "found"), [("otlp", {"otlp"}), ("Metlo, OTLP", {"metlo", "otlp"}), ("metlo", {"metlo"})]
)
def test_the_setting(given: str, found: set[str]) -> None:
    """Names in any case and order."""
    assert read_settings({"export": given, "host": "http://127.0.0.1", "api_key": "k"}, environ={}).export == found


def test_what_the_setting_needs() -> None:
    """OTLP alone needs neither host nor key; anything else is an error that lists the choices."""
    assert read_settings({"export": "otlp"}, environ={}).collector_url == ""
    with pytest.raises(SettingsError, match="API_KEY"):
        read_settings({"export": "metlo,otlp"}, environ={})
    with pytest.raises(SettingsError, match="metlo, otlp or metlo,otlp"):
        read_settings({"export": "kafka", "host": "http://127.0.0.1", "api_key": "k"}, environ={})


def test_the_dashboard_asks_for_what_is_sent(receiver: Receiver) -> None:
    """Every label and metric of examples/grafana.json is one that an attack and a block bring, dots as underscores."""
    rule = {"name": "no bots", "block": True, "header": {"user-agent": {"contains": "bot"}}}
    with shop(RULES=[rule]) as client:
        client.get("/users/7", headers={"X-Note": _ATTACK})
        client.get("/users/7", headers={"User-Agent": "bot/1"})
    text = (Path(__file__).parents[2] / "examples" / "grafana.json").read_text("utf-8")
    targets = [each["expr"] for panel in json.loads(text)["panels"] for each in panel["targets"]]
    asked = {name for expression in targets for name in _NAMES.findall(expression)}
    attributes = {name for record in receiver.records for name in named(record.attributes)}
    sent = {name.replace(".", "_") for name in attributes | receiver.metrics.keys()}
    sent |= {"metlo_http_server_request_duration_microseconds", "metlo_http_server_requests_blocked_total"}
    assert {"metlo.http.server.request.duration", "metlo.http.server.requests.blocked"} <= receiver.metrics.keys()
    assert asked
    assert asked <= sent


_SHORT = """
import sys, flask
from metlo_otel.flask import MetloFlask
app = flask.Flask("shop")
MetloFlask(app, EXPORT="otlp")
app.test_client().get("/a", headers={"X-Note": "1' OR '1'='1' --"})
"""


def test_a_process_that_ends_at_once(receiver: Receiver) -> None:
    """What its only request brought is sent before it ends: the attack, and the counts."""
    subprocess.run([sys.executable, "-c", _SHORT], timeout=60, check=True)
    assert [each.event_name for each in receiver.records] == ["metlo.attack"]
    assert receiver.metrics["metlo.http.server.request.duration"].exponential_histogram.data_points[0].count == 1


def test_a_process_that_ends_before_a_silent_receiver() -> None:
    """It does not wait for longer than for a Metlo collector that is silent."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        where = f"http://127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        program = _SHORT + "import time; time.sleep(1.2)"
        environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": where}
        command = [sys.executable, "-c", program]
        ran = subprocess.run(command, env=environment, timeout=60, check=True, capture_output=True)
        assert time.monotonic() - began < 10
    assert b"Traceback" not in ran.stderr
