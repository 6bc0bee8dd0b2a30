"""What must hold of every v2 trace, whoever made it: the schema, and what a Metlo backend trips over."""

from __future__ import annotations

import json
import re
from functools import cache
from typing import Any

import jsonschema

from tests.shared import SHARED

Trace = dict[str, Any]


@cache
def _validator() -> jsonschema.Draft202012Validator | None:
    if SHARED is None:
        return None
    return jsonschema.Draft202012Validator(json.loads((SHARED / "contract" / "v2-trace.schema.json").read_text()))


def check(trace: Trace) -> None:
    """Raise AssertionError or ValidationError where a trace would be lost or do harm."""
    validator = _validator()
    if validator is not None:
        validator.validate(trace)
    url = trace["request"]["url"]
    assert isinstance(url["host"], str), "the backend dies of a missing host"
    assert url["host"]
    assert "://" not in url["host"]
    assert not re.search(r"[\x00-\x20]", url["host"])
    assert re.fullmatch(r"/[^\\?<>&=]*", url["path"]), url["path"]
    assert url["path"].split("/")[1:].count("") <= 1, url["path"]
    assert re.fullmatch(r"(/[^<>:]*)+", url.get("endpointPath", "/")), url.get("endpointPath")
    assert isinstance(trace["sessionMeta"], dict)
    assert isinstance(trace["response"]["status"], int)
    if trace["redacted"]:
        assert (url["parameters"], trace["request"]["headers"], trace["response"]["headers"]) == ([], [], [])
        assert (trace["request"]["body"], trace["response"]["body"]) == ("", "")
