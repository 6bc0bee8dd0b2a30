"""What people configure: settings in the store, and the agent-config that is served from them."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import time
from collections.abc import Mapping
from typing import Any

import orjson
from sqlalchemy import Connection, or_, select

from metlo_otel.analysis.builtin_classes import BUILTIN_CLASSES
from metlo_otel.collector.audit import note
from metlo_otel.collector.database import insert_into
from metlo_otel.collector.jsontext import check_servable
from metlo_otel.collector.rules import served_rules
from metlo_otel.collector.schema import ENDPOINTS, SETTINGS, SPECS
from metlo_otel.collector.specs import described_endpoints
from metlo_otel.core.agent_config import DataClass, parse_agent_config
from metlo_otel.core.patterns import PatternError, parse_pattern

DEFAULTS: dict[str, Any] = {
    "sensitiveDataList": None,
    "globalFullTraceCapture": False,
    "authenticationConfig": [],
    "encryptionPublicKey": None,
    "hostMap": [],
    "hostBlockList": [],
    "pathBlockList": [],
    "detectionExcept": [],
}
"""The parts of agent-config that are set as a whole. No list of data classes means the built-in one."""

_VERSION = "configuration version"
_WATCHING = "watch everything"
_PARAMETER = re.compile(r"\{[^{}/]*\}")


def configure(connection: Connection, name: str, value: Any, who: str = "command line") -> None:
    """Set a part of agent-config.

    Raises KeyError for a name that agent-config does not have, ValueError for a value that agents could not read.
    """
    if name not in DEFAULTS:
        raise KeyError(f"agent-config has no {name}; it has {', '.join(DEFAULTS)}")
    problems: list[str] = []
    if DEFAULTS[name] is False and not isinstance(value, bool):
        problems.append(f"{name} is true or false")
    parsed = parse_agent_config({name: value}, problems.append)
    for index, each in enumerate(parsed.data_classes or () if not problems else ()):
        problems += _broken_patterns(f"{name}[{index}]", each)
    if problems:
        raise ValueError("; ".join(problems))
    check_servable(value, name)
    put_setting(connection, name, value)
    note(connection, who, "configure", {"name": name, "value": value})
    changed(connection)


def _broken_patterns(place: str, each: DataClass) -> list[str]:
    """What agents would leave out of a data class, with its place: they have a linear engine."""
    found = []
    for key, pattern in (("regex", each.regex), ("keyRegex", each.key_regex)):
        try:
            if pattern is not None:
                parse_pattern(pattern)
        except PatternError as problem:
            found.append(f"{place}.{key} (of {each.name!r}): {problem}")
    return found


def read_parts(connection: Connection) -> dict[str, Any]:
    """All parts of agent-config that are set as a whole, defaults filled in."""
    rows = select(SETTINGS.c.name, SETTINGS.c.value).where(SETTINGS.c.name.in_(DEFAULTS))
    stored = {name: json.loads(value) for name, value in connection.execute(rows)}
    return {name: stored.get(name, default) for name, default in DEFAULTS.items()}


def put_setting(connection: Connection, name: str, value: Any) -> None:
    """Keep any JSON value under a name of at most 64 characters."""
    row = {"name": name, "value": json.dumps(value), "changed": int(time.time() * 1000)}
    statement = insert_into(connection, SETTINGS)
    changes = {"value": statement.excluded.value, "changed": statement.excluded.changed}
    connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=changes), row)


def get_setting(connection: Connection, name: str, default: Any = None) -> Any:
    """The value kept under a name."""
    found = connection.execute(select(SETTINGS.c.value).where(SETTINGS.c.name == name)).scalar()
    return default if found is None else json.loads(found)


def changed(connection: Connection) -> None:
    """Say that agent-config is another one now: waiting agents are told."""
    put_setting(connection, _VERSION, secrets.token_hex(8))


def read_version(connection: Connection) -> str:
    """A text that changes with agent-config."""
    return str(get_setting(connection, _VERSION, ""))


def is_watching(connection: Connection) -> bool:
    """Whether all rules only watch now, whatever each of them says."""
    return get_setting(connection, _WATCHING) is True


def set_watching(connection: Connection, watching: bool, who: str) -> None:
    """Have no rule enforced by any agent, or every rule as it says: the switch for when rules do harm."""
    put_setting(connection, _WATCHING, watching)
    note(connection, who, "rules.watch", {"watching": watching})
    changed(connection)


def set_full_capture(connection: Connection, endpoint: int, capture: bool, who: str) -> bool:
    """Have agents send the content of an endpoint's requests or not; whether there is such an endpoint."""
    row = ENDPOINTS.update().where(ENDPOINTS.c.id == endpoint).values(full_capture=capture)
    found = connection.execute(row).rowcount > 0
    if found:
        note(connection, who, "capture", {"endpoint": endpoint, "capture": capture})
        changed(connection)
    return found


def read_document(connection: Connection, own: bool = False) -> tuple[bytes, str]:
    """The agent-config as JSON, and its ETag.

    `own` is for agents of this package: they know rules that only watch, which others would enforce, have the built-in
    data classes with their check digits, send the sums of all requests, and know where a finding does not count.
    """
    parts = read_parts(connection)
    if parts["sensitiveDataList"] is None and not own:
        parts["sensitiveDataList"] = [class_document(each) for each in BUILTIN_CLASSES]
    if not own:
        del parts["detectionExcept"]
    specs = [(row.name, row.host, row.text) for row in connection.execute(select(SPECS).order_by(SPECS.c.name))]
    document = orjson.dumps(
        {
            **parts,
            **({"aggregates": True} if own else {}),
            "endpoints": _endpoints(connection, specs),
            "specs": [{"name": name, "spec": text} for name, _, text in specs],
            "wafConfig": served_rules(connection, monitored=own, watching=is_watching(connection)),
        }
    )
    return document, f'"{hashlib.sha256(document).hexdigest()[:32]}"'


def class_document(each: DataClass) -> dict[str, Any]:
    """A data class as agent-config has it."""
    return {"className": each.name, "severity": each.severity, "regex": each.regex, "keyRegex": each.key_regex}


def is_current(etag: str, if_none_match: str) -> bool:
    """Whether If-None-Match (RFC 9110, 13.1.2) names `etag`, weak or strong, or everything."""
    named = [item.strip().removeprefix("W/") for item in if_none_match.split(",")]
    return etag in named or "*" in named


def _endpoints(connection: Connection, specs: list[tuple[str, str, str]]) -> list[dict[str, Any]]:
    """The endpoints that an agent must treat differently from others: captured, of GraphQL, or described."""
    table = ENDPOINTS.c
    columns = (table.host, table.method, table.path, table.operation, table.full_capture)
    wanted = select(*columns).where(or_(table.full_capture, table.operation != "")).order_by(table.id)
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for name, host, text in specs:
        for method, path in described_endpoints(text):
            found[host, method, path] = {"openapiSpecName": name}
    for host, method, path, operation, capture in connection.execute(wanted):
        known = found.setdefault((host, method, path), {})
        known["isGraphQl"] = known.get("isGraphQl", False) or operation != ""
        known["fullTraceCaptureEnabled"] = known.get("fullTraceCaptureEnabled", False) or bool(capture)
    return [_endpoint(*key, known) for key, known in found.items()]


def _endpoint(host: str, method: str, path: str, known: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "host": host,
        "method": method,
        "path": path,
        "numberParams": len(_PARAMETER.findall(path)),
        "isGraphQl": known.get("isGraphQl", False),
        "openapiSpecName": known.get("openapiSpecName"),
        "fullTraceCaptureEnabled": known.get("fullTraceCaptureEnabled", False),
    }
