"""The collector's own description: valid, of all its calls and no others, and its answers are what it says."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests
from jsonschema import Draft202012Validator
from starlette.routing import Route

from metlo_otel.collector.api import make_app
from metlo_otel.collector.described import describe
from metlo_otel.collector.server import RunningCollector
from tests.collector.client import KEY, READ_KEY, Client, make_trace
from tests.collector.sums import make_document, make_key

DESCRIPTION: dict[str, Any] = json.loads(json.dumps(describe()))
READ = [path for path, call in DESCRIPTION["paths"].items() if "get" in call and "{" not in path]


def _check(path: str, answer: requests.Response) -> None:
    """The answer is one that the description has for this call."""
    (call,) = DESCRIPTION["paths"][path].values()
    told = call["responses"][str(answer.status_code)].get("content", {})
    kind = answer.headers.get("content-type", "").partition(";")[0]
    assert kind in told or not (told or answer.content), (path, answer.status_code, kind)
    if kind == "application/json" and "schema" in told[kind]:
        schema = {**told[kind]["schema"], "components": DESCRIPTION["components"]}
        problems = [
            f"{each.json_path}: {each.message}" for each in Draft202012Validator(schema).iter_errors(answer.json())
        ]
        assert problems == [], path


def test_it_is_valid() -> None:
    """It is OpenAPI 3.1, by the validator of others."""
    validating = pytest.importorskip("openapi_spec_validator", reason="openapi-spec-validator is not installed")
    validating.validate(DESCRIPTION)


def test_it_has_every_call(collector: RunningCollector) -> None:
    """All routes but the dashboard's are described, and no others."""
    routes = [route for route in make_app(collector.store).routes if isinstance(route, Route)]
    served = {(route.path, method.lower()) for route in routes for method in (route.methods or set()) - {"HEAD"}}
    assert {(path, method) for path, call in DESCRIPTION["paths"].items() for method in call} == served


@pytest.mark.parametrize("path", READ)
def test_answers_are_as_described(path: str, collector: RunningCollector, client: Client) -> None:
    """With and without a key, and with a wrong parameter: status, media type, and each field of the body."""
    found = {"attackDetections": {"reqQuery.q": ["SQLI"]}, "sensitiveDataDetected": {"resBody.email": ["Email"]}}
    assert client.post([make_trace(), make_trace("/x", 500), make_trace(processedTraceData=found)]).status_code == 200
    assert (
        client.post(make_document([make_key()], actors=[("address", "192.0.2.7")]), "v1/aggregates").status_code == 200
    )
    for key in (READ_KEY, KEY, "none at all"):
        _check(path, requests.get(collector.url + path, headers={"Authorization": key}, timeout=10))
    if "parameters" in DESCRIPTION["paths"][path]["get"]:
        assert client.read(path).json()["items"] or path.endswith("services")
        _check(path, client.read(path, params={"nonsense": "1"}))


def test_one_trace(collector: RunningCollector, client: Client) -> None:
    """One that is there, one that is not, and what is no number."""
    client.post([make_trace()])
    (item,) = client.items("traces")
    for number, status in ((item["id"], 200), (item["id"] + 1, 404), ("x", 400)):
        answer = client.read(f"/api/v1/traces/{number}")
        assert answer.status_code == status
        _check("/api/v1/traces/{id}", answer)


def test_every_parameter_is_described(client: Client) -> None:
    """What a list says that it can be asked for, when it is asked for nonsense, is what its description has."""
    for path in READ:
        call = DESCRIPTION["paths"][path]["get"]
        if "parameters" in call:
            told = client.read(path, params={"nonsense": "1"}).json()["error"]
            assert told.partition("there are ")[2].split(", ") == [each["name"] for each in call["parameters"]]


@pytest.mark.parametrize("path", [path for path, call in DESCRIPTION["paths"].items() if "post" in call])
def test_what_is_sent(path: str, collector: RunningCollector, client: Client) -> None:
    """What agents really send fits; and the answers to it, to nonsense and to a wrong key are as described."""
    real = {"/api/v1/aggregates": make_document([make_key()]), "/v1/traces": {"resourceSpans": []}}
    sent: Any = real.get(path, [make_trace()])
    schema = DESCRIPTION["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert Draft202012Validator({**schema, "components": DESCRIPTION["components"]}).is_valid(sent)
    url = collector.url + path.replace("{version}", "2").replace("{form}", "batch")
    kinds = {"Content-Type": "application/json", "Authorization": KEY}
    for body, headers, status in (
        (json.dumps(sent), kinds, 200),
        ("nonsense", kinds, 400),
        ("x", {**kinds, "Content-Type": "text/plain"}, 415),
        (json.dumps(sent), {**kinds, "Authorization": "x"}, 401),
    ):
        answer = requests.post(url, data=body, headers=headers, timeout=10)
        assert answer.status_code == status
        _check(path, answer)
