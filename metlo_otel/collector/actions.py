"""What people change: functions for `store.change` that note who did it, and tell agents where it concerns them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from metlo_otel.collector import rules, specs
from metlo_otel.collector.alerts import assign_alert, comment_alert, mute_kind, set_alert_status, unmute_kind
from metlo_otel.collector.audit import note
from metlo_otel.collector.configuration import changed, configure, read_parts, set_full_capture, set_watching
from metlo_otel.collector.destinations import add_destination, change_destination, remove_destination
from metlo_otel.collector.hosts import mark_hosts
from metlo_otel.collector.keys import add_key, revoke_key
from metlo_otel.collector.rules import StoredRule
from metlo_otel.core.exemptions import parse_exemption

_MOST_EXEMPTIONS = 1_000

__all__ = [
    "add_destination",
    "add_key",
    "assign_alert",
    "block_actor",
    "change_destination",
    "change_rule",
    "comment_alert",
    "configure",
    "except_detection",
    "mark_hosts",
    "mute_kind",
    "put_rule",
    "put_spec",
    "remove_destination",
    "remove_rule",
    "remove_spec",
    "revoke_key",
    "set_alert_status",
    "set_full_capture",
    "set_watching",
    "unmute_kind",
]


def put_rule(connection: Connection, item: Any, who: str, enabled: bool = True) -> StoredRule:
    """Add a rule, in the wire form or in that of rules files, or replace the one with its uuid. Raises ValueError."""
    rule = rules.put_rule(connection, item, enabled)
    _tell(connection, who, "rules.put", rule)
    return rule


def change_rule(
    connection: Connection, rule: str, who: str, enabled: bool | None = None, mode: str | None = None
) -> StoredRule | None:
    """Switch a rule on or off, or between block and monitor; None where there is none. Raises ValueError."""
    found = rules.change_rule(connection, rule, enabled, mode)
    if found is not None:
        _tell(connection, who, "rules.change", found)
    return found


def remove_rule(connection: Connection, rule: str, who: str) -> bool:
    """Forget a rule; whether there was one with this id."""
    removed = rules.remove_rule(connection, rule)
    if removed:
        note(connection, who, "rules.remove", {"id": rule})
        changed(connection)
    return removed


def block_actor(connection: Connection, kind: str, value: str, who: str, until: int | None = None) -> StoredRule:
    """Block an address, session or user, `until` a moment in ms since the epoch or for ever. Raises ValueError."""
    return put_rule(connection, rules.block_actor(kind, value, until), who)


def except_detection(connection: Connection, path: str, field: str, category: str, who: str) -> None:
    """Have findings of a category in a field of requests to a path not count any more. Raises ValueError."""
    found = parse_exemption({"path": path, "field": field, "category": category})
    said = {"path": found.path, "field": found.field, "category": found.category}
    known = read_parts(connection)["detectionExcept"]
    if len(known) >= _MOST_EXEMPTIONS:
        raise ValueError(f"there are at most {_MOST_EXEMPTIONS:,} such places")
    if said not in known:
        configure(connection, "detectionExcept", [*known, said], who)


def put_spec(connection: Connection, name: str, host: str, text: str, who: str) -> None:
    """Keep an OpenAPI description of a host; one with this name is replaced. Raises ValueError for what is none."""
    specs.put_spec(connection, name, host, text)
    note(connection, who, "specs.put", {"name": name, "host": host})
    changed(connection)


def remove_spec(connection: Connection, name: str, who: str) -> bool:
    """Forget a description; whether there was one of this name."""
    removed = specs.remove_spec(connection, name)
    if removed:
        note(connection, who, "specs.remove", {"name": name})
        changed(connection)
    return removed


def _tell(connection: Connection, who: str, action: str, rule: StoredRule) -> None:
    detail: Mapping[str, Any] = {"id": rule.id, "name": rule.name, "enabled": rule.enabled, "document": rule.document}
    note(connection, who, action, dict(detail))
    changed(connection)
