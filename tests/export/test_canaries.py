"""Canaries in every format under every type: none leaves a redacted trace, and none a trace whose field is masked."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote_plus

import pytest

from metlo_otel.analysis.inspection import Inspection
from metlo_otel.core.agent_config import AgentConfig
from metlo_otel.core.record import Message, Record
from metlo_otel.core.settings import Settings, SettingsError, read_settings
from metlo_otel.export.tracing import Seams, Tracing

TYPES = [
    "",
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=B",
    "multipart/form-data; boundary=other",
    "multipart/form-data",
    "text/plain",
    "application/xml",
    "application/graphql",
    "application/x-ndjson",
    "application/problem+json",
    "image/png",
    "text/plain; charset=utf-16",
    "application/json; charset=ibm037",
]
CANARIES = ["S3cr3t-Canary-9f8e7d", "canarycanary", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.x", "4111111111111111"]
Shape = Callable[[str, str], str]
SHAPES: dict[str, Shape] = {
    "json": lambda name, value: json.dumps({name: value, "a": 1}),
    "nested": lambda name, value: json.dumps([{"a": {name: [value, {"b": value}]}}]),
    "json-in-json": lambda name, value: json.dumps({"a": json.dumps({name: value})}),
    "cut": lambda name, value: json.dumps({"a": 1, name: value})[:-4],
    "form": lambda name, value: f"a=1&{quote_plus(name)}={quote_plus(value)}",
    "json-in-form": lambda name, value: "a=" + quote_plus(json.dumps({name: value})),
    "multipart": lambda name, value: (
        f'--B\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n--B--\r\n'
    ),
    "xml": lambda name, value: f"<r><{name}>{value}</{name}></r>",
    "graphql": lambda name, value: f'mutation {{ sign({name}: "{value}") {{ id }} }}',
    "graphql-in-json": lambda name, value: json.dumps({"query": f'{{ sign({name}: "{value}") {{ id }} }}'}),
    "lines": lambda name, value: "\n".join([json.dumps({"a": 1}), json.dumps({name: value})]),
}
SECRET_NAMES = [
    "password",
    "userPassword",
    "password1",
    "new_password",
    "session_id",
    "jwt",
    "pwd",
    "secretKey",
    "token",
]
REMOTE: dict[str, Any] = {"api_key": "k", "host": "https://app.metlo.com", "analysis_budget": 100}
LOCAL = {**REMOTE, "host": "http://127.0.0.1"}


def trace(record: Record, given: dict[str, Any]) -> str:
    """The whole trace, read back so that escapes hide nothing."""
    settings = read_settings(given, {})
    config = AgentConfig(full_capture=settings.loopback)
    inspection = Inspection(settings, lambda _: None)
    seams = Seams(inspection.analyse, inspection.session)
    tracing = Tracing(settings, lambda: config, seams)
    span = tracing.span(record)
    assert span is not None
    encoded = tracing.trace(span)
    assert encoded is not None
    return json.dumps(json.loads(encoded), ensure_ascii=False)


def record(body: str, kind: str, query: tuple[tuple[str, str], ...] = (), **headers: str) -> Record:
    given = (("Content-Type", kind), *[(name.replace("_", "-"), value) for name, value in headers.items()])
    message = Message(given if kind else given[1:], body.encode(), len(body.encode()))
    path = "/graphql" if "graphql" in kind or "query" in body[:4] else "/p"
    raw = "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in query)
    return Record(
        "POST", "http", "h", path, query, message, message, 200, ("192.0.2.1", 1), ("192.0.2.2", 2), raw_query=raw
    )


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_of_a_body_leaves_redacted(shape: str, kind: str) -> None:
    """A redacted trace holds no value, under whatever type, in the request as in the answer."""
    for canary in CANARIES:
        assert canary not in trace(record(SHAPES[shape]("field", canary), kind), REMOTE)


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("canary", [CANARIES[0], CANARIES[2], "my secret text", "a" * 65])
def test_what_is_no_name_leaves_not_as_one(canary: str, kind: str) -> None:
    """Content in the place of a name is `{other}` in a redacted trace."""
    for body in (canary, f"{canary}=", f"{canary}&a=1", json.dumps({canary: 1}), json.dumps([{canary: {"a": canary}}])):
        assert canary not in trace(record(body, kind, ((canary, ""),)), REMOTE), body


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_a_masked_field_never_leaves(shape: str, kind: str) -> None:
    """What stands under a secret's name is masked in a trace with content, under whatever type."""
    for name in ("password", "newPassword"):
        assert CANARIES[0] not in trace(record(SHAPES[shape](name, CANARIES[0]), kind), LOCAL), name


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_names_of_secrets(name: str) -> None:
    """A name counts by its words, wherever it stands."""
    for shape, kind in (("json", TYPES[1]), ("form", TYPES[2]), ("multipart", TYPES[3]), ("xml", TYPES[7])):
        assert CANARIES[0] not in trace(record(SHAPES[shape](name, CANARIES[0]), kind), LOCAL), shape
    assert CANARIES[0] not in trace(record("", "", ((name, CANARIES[0]),)), LOCAL)


@pytest.mark.parametrize("name", ["X_Vault_Token", "Authorization", "X_Api_Key"])
def test_headers_of_secrets(name: str) -> None:
    """Headers too."""
    assert CANARIES[0] not in trace(record("", "", (), **dict.fromkeys([name], CANARIES[0])), LOCAL)


@pytest.mark.parametrize("name", ["tokenCount", "passwordHint2x", "pinned", "author"])
def test_names_of_no_secrets(name: str) -> None:
    """A name that only holds such a word is left."""
    assert CANARIES[0] in trace(record(SHAPES["json"](name, CANARIES[0]), TYPES[1]), LOCAL)


def masked(fields: Any) -> frozenset[str]:
    settings: Settings = read_settings({**LOCAL, "masked_fields": fields}, {})
    return settings.masked_fields


def test_masked_fields() -> None:
    """`+` adds to the defaults, `-` takes away, a plain list replaces, and a mixture is refused."""
    usual = read_settings(LOCAL, {}).masked_fields
    assert masked("+pin,+tax_id") == usual | {"pin", "tax_id"}
    assert masked("-cookie") == usual - {"cookie"}
    assert masked("+pin,-cookie") == (usual - {"cookie"}) | {"pin"}
    assert masked("pin,tax_id") == {"pin", "tax_id"}
    assert masked([]) == frozenset()
    with pytest.raises(SettingsError, match="masked_fields"):
        masked("+pin,tax_id")
    given = {**LOCAL, "masked_fields": "+shoe"}
    assert CANARIES[0] not in trace(record(SHAPES["json"]("userShoe", CANARIES[0]), TYPES[1]), given)
    assert CANARIES[0] in trace(record(SHAPES["json"]("userShoe", CANARIES[0]), TYPES[1]), LOCAL)
