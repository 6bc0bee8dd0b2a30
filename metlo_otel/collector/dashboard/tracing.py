"""The user's own tracing: a link to where it shows a trace, made from a template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

from sqlalchemy import Connection

from metlo_otel.collector.audit import note
from metlo_otel.collector.configuration import get_setting, put_setting

_NAME = "tracing template"
_LONGEST = 1000


def read_template(connection: Connection) -> str:
    """The template, empty where there is none."""
    return str(get_setting(connection, _NAME, ""))


def set_template(connection: Connection, template: str, who: str) -> None:
    """Keep a template such as `https://tracing.example/trace/{traceId}`; an empty one removes it. Raises ValueError."""
    template = template.strip()
    if template and not _is_template(template):
        raise ValueError("a link to your tracing begins with https:// or http:// and holds {traceId}")
    put_setting(connection, _NAME, template)
    note(connection, who, "tracing", {"template": template})


def tracing_link(template: str, document: Mapping[str, Any]) -> str:
    """Where the user's tracing shows a trace, empty where it cannot: `{traceId}` and `{spanId}` are filled in."""
    meta = document.get("meta") or {}
    if not template or not isinstance(meta.get("traceId"), str) or not _is_template(template):
        return ""
    span = meta.get("spanId")
    link = template.replace("{traceId}", quote(meta["traceId"], safe=""))
    return link.replace("{spanId}", quote(span if isinstance(span, str) else "", safe=""))


def _is_template(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    known = parts.scheme in ("http", "https") and bool(parts.hostname) and "{traceId}" in text
    return known and len(text) <= _LONGEST and text.isprintable() and " " not in text
