"""Responses against OpenAPI descriptions: what differs is named, what the response holds never is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("jsonschema_rs", reason="the openapi extra is not installed")

from metlo_otel.analysis.openapi import MAX_ERRORS, ResponseValidator
from metlo_otel.analysis.openapi_spec import SpecError, read_spec
from metlo_otel.reading.fields import read_fields
from tests.analysis.records import message, record, refuse

USER = {
    "type": "object",
    "required": ["id", "password"],
    "properties": {
        "id": {"type": "integer", "minimum": 0, "exclusiveMinimum": True},
        "name": {"type": "string", "nullable": True, "enum": ["a", "b"]},
        "password": {"type": "string", "writeOnly": True},
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 2}},
        "boss": {"$ref": "#/components/schemas/User"},
    },
    "additionalProperties": False,
}
OK: dict[str, Any] = {
    "headers": {"X-Rate": {"required": True}},
    "content": {"application/json": {"schema": {"$ref": "#/components/schemas/User"}}},
}
SPEC: dict[str, Any] = {
    "openapi": "3.0.3",
    "servers": [{"url": "https://shop.example/api/v1"}],
    "paths": {
        "/users/{id}": {"get": {"responses": {"200": OK, "4XX": {"$ref": "#/components/responses/Error"}}}},
        "/users/me": {"get": {"responses": {"default": {"description": "anything"}}}},
    },
    "components": {
        "schemas": {"User": USER},
        "responses": {"Error": {"content": {"application/*": {"schema": {"required": ["error"]}}}}},
    },
}


def validate(
    answer: Any, spec: Any = SPEC, path: str = "/api/v1/users/3", headers: Any = (("X-Rate", "1"),), **more: Any
) -> dict[str, list[str]]:
    text = spec if isinstance(spec, str) else json.dumps(spec)
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    sent = message(body, more.pop("kind", "application/json"), headers, size=more.pop("size", -1))
    given_ = record(None, sent, method="GET", path=path, **more)
    return ResponseValidator([("s", text)], refuse).validate(given_, read_fields(given_), "s")


def test_a_right_answer() -> None:
    """An answer as described gives nothing; what only requests carry is not missed; nullable takes null."""
    assert validate({"id": 1, "name": None, "tags": ["x"], "boss": {"id": 2}}) == {}


def test_a_wrong_answer() -> None:
    """What differs is said by the rule and the description's words, under the keys that data types have."""
    assert validate({"id": 0, "name": "c", "tags": ["abc", 7], "boss": {"id": "secret"}, "more": 1}, headers=()) == {
        "resHeaders.X-Rate": ["required: missing"],
        "resBody": ["additionalProperties"],
        "resBody.id": ["exclusiveMinimum: 0"],
        "resBody.name": ["enum"],
        "resBody.tags.[]": ["maxLength: 2", "type: string"],
        "resBody.boss.id": ["type: integer"],
    }


@settings(max_examples=50, deadline=None)
@given(
    st.text("abcdefgh0123456789", min_size=8, max_size=12), st.sampled_from(["id", "name", "tags", "boss", "password"])
)
def test_no_value_in_any_message(secret: str, place: str) -> None:
    """Whatever the answer holds wherever, no message repeats it."""
    for answer in ({place: secret}, {"id": 1, place: [secret]}, {"id": 1, place: {"id": secret}}, [secret], secret):
        assert secret not in str(validate(answer).values())


def test_statuses_and_media_types() -> None:
    """Ranges of statuses and of media types are found; what is not described is said."""
    assert validate({"x": 1}, status=404) == {"resBody": ["required: error"]}
    assert validate({}, status=500) == {"resBody": ["status 500 is not described"]}
    assert validate(b"<p>", kind="text/html") == {"resHeaders.Content-Type": ["is none of the described media types"]}
    assert validate({"x": 1}, path="/api/v1/users/me", status=500) == {}
    assert validate({"x": 1}, path="/api/v1/unknown") == {}
    assert validate({"x": 1}, path="/users/3", headers=()) != {}


def test_cut_answers_are_not_judged() -> None:
    """Of an answer that is cut or broken, the body is not held against the description."""
    assert validate(b'{"id": "x", "na', size=100) == {}
    assert validate(b"nope") == {}


def test_messages_are_bounded() -> None:
    """An answer with a thousand faults gives at most 20 messages."""
    found = validate(
        {"id": 1, **{f"k{number}": 1 for number in range(5)}, "boss": {f"x{number}": 0 for number in range(1000)}}
    )
    assert sum(map(len, found.values())) <= MAX_ERRORS


def test_large_answers() -> None:
    """Of a large answer that differs, the first difference is told; one that fits is told to fit."""
    large = {"id": 1, "tags": ["ab"] * 2000}
    assert validate(large) == {}
    assert sum(map(len, validate({**large, "tags": ["abc", 7] * 2000, "more": 1}).values())) == 1


def test_openapi_31() -> None:
    """3.1's schemas are JSON Schema 2020-12: lists of types, const, references with company."""
    user = {
        "type": ["object", "null"],
        "properties": {"kind": {"const": "u"}, "at": {"$ref": "#/components/schemas/At", "maxLength": 3}},
    }
    spec = {
        "openapi": "3.1.0",
        "paths": {"/u": {"get": {"responses": {"200": {"content": {"*/*": {"schema": user}}}}}}},
        "components": {"schemas": {"At": {"type": "string"}}},
    }
    assert validate(None, spec, "/u") == {}
    assert validate({"kind": "x", "at": "long"}, spec, "/u") == {
        "resBody.kind": ["const"],
        "resBody.at": ["maxLength: 3"],
    }


def test_yaml() -> None:
    """A description in YAML gives the same."""
    yaml = pytest.importorskip("yaml")
    assert validate({"id": "x"}, yaml.safe_dump(SPEC)) == validate({"id": "x"})


def one(schema: Any) -> dict[str, Any]:
    return {
        "openapi": "3.1.0",
        "paths": {"/u": {"get": {"responses": {"200": {"content": {"*/*": {"schema": schema}}}}}}},
    }


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "file:///etc/passwd"},
        {"$ref": "http://127.0.0.1:9/x"},
        {"$ref": "#/nowhere"},
        {"type": "nonsense"},
        {"pattern": "("},
    ],
)
def test_bad_schemas_are_named_and_left_out(schema: Any) -> None:
    """A schema that leads to other documents, nowhere, or is none is left out with a message; nothing is fetched."""
    said: list[str] = []
    given_ = record(None, message("{}", "application/json"), method="GET", path="/u")
    validator = ResponseValidator([("s", json.dumps(one(schema)))], said.append)
    assert [validator.validate(given_, read_fields(given_), "s") for _ in range(2)] == [{}, {}]
    assert len(said) == 1
    assert "schema of s /u GET 200" in said[0]


def test_hostile_patterns_in_a_schema() -> None:
    """A pattern of exponential kind ends."""
    assert validate("a" * 5000 + "!", one({"pattern": "^(a+)+$"}), "/u") != {}


def bomb() -> str:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40)]
    return "\n".join([*lines, "openapi: 3.0.0", "paths: {}"])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[]", "object with paths"),
        ('{"openapi": "2.0", "paths": {}}', "3.0 and 3.1"),
        ('{"swagger": "2.0", "paths": {}}', "3.0 and 3.1"),
        ("a: [", "neither JSON nor YAML"),
        ("x" * 5_000_000, "larger"),
        ("[" * 3000, "YAML|deeper"),
        (bomb(), "aliases"),
        ("a: &a [*a]\nopenapi: 3.0.0\npaths: {}", "aliases|YAML"),
    ],
)
def test_bad_descriptions(text: str, why: str) -> None:
    """What is no description, or a bomb, is refused with the reason."""
    pytest.importorskip("yaml")
    with pytest.raises(SpecError, match=why):
        read_spec(text)


def test_a_bad_description_is_said_once() -> None:
    """A description that cannot be read is left out with one message that names it."""
    said: list[str] = []
    validator = ResponseValidator([("shop", "[]")], said.append)
    for _ in range(3):
        assert validator.validate(record(), read_fields(record()), "shop") == {}
    assert len(said) == 1
    assert "'shop'" in said[0]
