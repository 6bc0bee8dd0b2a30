"""The audit log: who changed what, and when."""

from __future__ import annotations

import json
import time
from typing import Any

from sqlalchemy import Connection, insert

from metlo_otel.collector.endpoints import storable
from metlo_otel.collector.schema import AUDIT


def note(connection: Connection, who: str, action: str, detail: dict[str, Any] | None = None) -> None:
    """Write a line of the audit log, in the transaction of the change; `detail` holds no secret."""
    row = {
        "at": int(time.time() * 1000),
        "who": storable(who, 255),
        "action": storable(action, 64),
        "detail": json.dumps(detail or {}).replace("\\u0000", "\\ufffd"),
    }
    connection.execute(insert(AUDIT), row)
