"""The agent-config that is served: what the store holds of it, and defaults for the rest."""

from __future__ import annotations

import hashlib
import json
import re
import time
from typing import Any

import orjson
from sqlalchemy import Connection, delete, insert, select

from metlo_otel.collector.schema import ENDPOINTS, SETTINGS

# Before anybody configures data classes, agents look for these two.
_DATA_CLASSES = [
    {
        "className": "Email",
        "severity": "medium",
        "regex": r"(^|\s)[\w.+'-]{1,64}@([a-zA-Z0-9-]{1,63}\.){1,8}[a-zA-Z]{2,24}(\s|$)",
    },
    {
        "className": "IP Address",
        "severity": "low",
        "regex": r"(^|\s)((25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(25[0-5]|2[0-4]\d|1?\d?\d)(\s|$)",
        "shortName": "IP",
    },
]

DEFAULTS: dict[str, Any] = {
    "sensitiveDataList": _DATA_CLASSES,
    "specs": [],
    "globalFullTraceCapture": False,
    "authenticationConfig": [],
    "encryptionPublicKey": None,
    "hostMap": [],
    "hostBlockList": [],
    "pathBlockList": [],
    "wafConfig": [],
}

_PARAMETER = re.compile(r"\{[^{}/]*\}")


def configure(connection: Connection, name: str, value: Any) -> None:
    """Set a part of agent-config. Raises KeyError for a name that agent-config does not have."""
    if name not in DEFAULTS:
        raise KeyError(f"agent-config has no {name}; it has {', '.join(DEFAULTS)}")
    row = {"name": name, "value": json.dumps(value), "changed": int(time.time() * 1000)}
    connection.execute(delete(SETTINGS).where(SETTINGS.c.name == name))
    connection.execute(insert(SETTINGS), row)


def read_document(connection: Connection) -> tuple[bytes, str]:
    """The agent-config as JSON, and its ETag."""
    stored = {name: json.loads(value) for name, value in connection.execute(select(SETTINGS.c.name, SETTINGS.c.value))}
    known = {name: stored.get(name, default) for name, default in DEFAULTS.items()}
    document = orjson.dumps({**known, "endpoints": _endpoints(connection)})
    return document, f'"{hashlib.sha256(document).hexdigest()[:32]}"'


def is_current(etag: str, if_none_match: str) -> bool:
    """Whether If-None-Match (RFC 9110, 13.1.2) names `etag`, weak or strong, or everything."""
    named = [item.strip().removeprefix("W/") for item in if_none_match.split(",")]
    return etag in named or "*" in named


def _endpoints(connection: Connection) -> list[dict[str, Any]]:
    """The endpoints that an agent must treat differently from others."""
    table = ENDPOINTS.c
    wanted = select(table.host, table.method, table.path).where(table.full_capture).order_by(table.id)
    return [
        {
            "host": host,
            "method": method,
            "path": path,
            "numberParams": len(_PARAMETER.findall(path)),
            "isGraphQl": False,
            "openapiSpecName": None,
            "fullTraceCaptureEnabled": True,
        }
        for host, method, path in connection.execute(wanted)
    ]
