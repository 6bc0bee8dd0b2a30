"""Rules in the store: added, changed, put in order, and served to agents in the form of the wire."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from metlo_otel.blocking.every_request import check_said, parse_written
from metlo_otel.blocking.friendly import parse_friendly
from metlo_otel.blocking.rules import INTERVALS, Condition, Group, Rule, parse_rule
from metlo_otel.collector.jsontext import check_servable
from metlo_otel.collector.schema import RULES

MODES = ("block", "monitor")
MAX_RULES = 1_000
_WIRE = ("ruleType", "conditionGroups", "uuid")
_LARGEST = 256 * 1024  # characters of a rule's JSON


@dataclass(frozen=True, slots=True)
class StoredRule:
    """A rule as people see it; `document` is the wire form, `mode` block or monitor, times in milliseconds."""

    id: str
    position: int
    name: str
    kind: str
    mode: str
    enabled: bool
    document: Mapping[str, Any]
    made: int
    changed: int

    @property
    def ends(self) -> float | None:
        """When it ends, in ms since the epoch; None: never."""
        return (self.document.get("action") or {}).get("blockEndTime")

    @property
    def is_on(self) -> bool:
        """Whether it is switched on and has not ended."""
        return self.enabled and (self.ends is None or self.ends > time.time() * 1000)


def wire_form(item: Any) -> dict[str, Any]:
    """A rule in the wire form, out of one in the wire form or in that of rules files, checked.

    Keys beside the wire's are `name` and `mode` (block or monitor). Raises ValueError, which says what is wrong.
    """
    if not isinstance(item, Mapping):
        raise ValueError("a rule is an object")
    if not any(name in item for name in _WIRE):
        rule, mistakes = parse_friendly(item, 0)
        if rule is None:
            raise ValueError("; ".join(str(mistake) for mistake in mistakes))
        return _document(rule, "id" in item)
    given = {"uuid": str(uuid.uuid4()), "tagName": None, "identifiers": None, "action": None, **item}
    if given["ruleType"] == "block" and given["action"] is None:
        given["action"] = {"actionType": "block"}
    mode = given.get("mode") or "block"
    if mode not in MODES:
        raise ValueError(f"mode: is block or monitor, not {str(mode)[:60]!r}")
    parse_written(given)
    names = ("uuid", "tagName", "ruleType", "identifiers", "action", "conditionGroups")
    return {**{name: given[name] for name in names}, "name": str(given.get("name") or "")[:255], "mode": mode}


def _document(rule: Rule, named: bool) -> dict[str, Any]:
    action: dict[str, Any] | None = None if rule.kind == "tag" else {"actionType": "block"}
    if action is not None:
        action["blockEndTime"] = rule.ends
        if rule.limit is not None:
            action["rateLimit"] = _limit(rule.limit.threshold, rule.limit.interval, rule.limit.duration)
    return {
        "uuid": rule.id if named else str(uuid.uuid4()),
        "tagName": rule.tag,
        "ruleType": rule.kind,
        "identifiers": list(rule.identifiers) or None,
        "action": action,
        "conditionGroups": [_group(group) for group in rule.groups],
        "name": rule.name or "",
        "mode": "monitor" if rule.monitor else "block",
    }


def _limit(threshold: int, interval: float, duration: float) -> dict[str, Any]:
    named: dict[float, str] = {seconds: name for name, seconds in INTERVALS.items()}
    if interval not in named:
        raise ValueError(f"limit: the collector serves limits over {', '.join(INTERVALS)}, not over {interval:g} s")
    minutes, second = divmod(int(duration), 60)
    hour, minute = divmod(minutes, 60)
    return {
        "threshold": threshold,
        "interval": named[interval],
        "duration": {"hour": hour, "minute": minute, "second": second},
    }


def _group(group: Group) -> dict[str, Any]:
    return {"rule": group.rule, "conditions": [_condition(condition) for condition in group.conditions]}


def _condition(condition: Condition) -> dict[str, Any]:
    value = str(condition.value)
    return {"field": condition.field, "operator": condition.operator, "key": condition.key, "value": value}


def put_rule(connection: Connection, item: Any, enabled: bool = True) -> StoredRule:
    """Add a rule at the end, or replace the one with the same uuid in its place. Raises ValueError for a wrong one."""
    document = wire_form(item)
    check_servable(document, "a rule")
    text = json.dumps(document)
    if len(text) > _LARGEST or "\\u0000" in text:
        raise ValueError(f"a rule has at most {_LARGEST} characters, none of them NUL")
    if len(document["uuid"]) > 64:
        raise ValueError(f"uuid: has at most 64 characters, not {len(document['uuid'])}")
    now = int(time.time() * 1000)
    row = {
        "name": document["name"] or _called(document),
        "kind": document["ruleType"],
        "mode": document["mode"],
        "enabled": enabled,
        "document": text,
        "changed": now,
    }
    if connection.execute(update(RULES).where(RULES.c.id == document["uuid"]).values(**row)).rowcount == 0:
        last = connection.execute(select(func.max(RULES.c.position), func.count())).one()
        if last[1] >= MAX_RULES:
            raise ValueError(f"there are {MAX_RULES} rules already; remove some first")
        connection.execute(insert(RULES), {**row, "id": document["uuid"], "position": (last[0] or 0) + 1, "made": now})
    return _stored(connection.execute(select(RULES).where(RULES.c.id == document["uuid"])).one())


def _called(document: Mapping[str, Any]) -> str:
    conditions = [condition for group in document["conditionGroups"] for condition in group["conditions"]]
    words = [f"{each['field']} {each['operator']} {each['value']}"[:80] for each in conditions[:2]]
    return f"{document['ruleType']}: {' and '.join(words) or 'every request'}"[:255].replace("\0", "\ufffd")


def change_rule(
    connection: Connection, rule: str, enabled: bool | None = None, mode: str | None = None
) -> StoredRule | None:
    """Switch a rule on or off, or between block and monitor; None where there is none with this id.

    Raises ValueError where it would then enforce what nobody may store: one of an older version can be switched off.
    """
    found = find_rule(connection, rule)
    if found is None:
        return None
    document = {**found.document, "mode": mode or found.mode}
    wanted = found.enabled if enabled is None else enabled
    if wanted and document["mode"] == "block":
        check_said(parse_rule(document))
    row = {"mode": document["mode"], "enabled": wanted, "document": json.dumps(document)}
    connection.execute(update(RULES).where(RULES.c.id == rule).values(**row, changed=int(time.time() * 1000)))
    return find_rule(connection, rule)


def remove_rule(connection: Connection, rule: str) -> bool:
    """Forget a rule; whether there was one with this id."""
    return connection.execute(delete(RULES).where(RULES.c.id == rule)).rowcount > 0


def find_rule(connection: Connection, rule: str) -> StoredRule | None:
    """The rule with this id."""
    row = connection.execute(select(RULES).where(RULES.c.id == rule)).one_or_none()
    return None if row is None else _stored(row)


def list_rules(connection: Connection) -> list[StoredRule]:
    """All rules in the order in which they are tried."""
    return [_stored(row) for row in connection.execute(select(RULES).order_by(RULES.c.position, RULES.c.id))]


def served_rules(connection: Connection, monitored: bool, watching: bool = False) -> list[dict[str, Any]]:
    """What is in force, in the wire form; rules in monitor mode only for who knows that mode.

    While `watching` no rule is enforced: tags are still put.
    """
    rules = [rule for rule in list_rules(connection) if rule.enabled]
    if monitored:
        return [{**rule.document, "mode": "monitor" if watching else rule.mode} for rule in rules]
    return [_plain(rule.document) for rule in rules if rule.mode == "block" and not (watching and rule.kind != "tag")]


def is_enforced(document: Mapping[str, Any]) -> bool:
    """Whether a rule in the wire form blocks or limits once it is switched on: it does not only watch or tag."""
    return document["ruleType"] != "tag" and (document.get("mode") or "block") == "block"


def _plain(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in ("name", "mode")}


def block_actor(kind: str, value: str, until: int | None = None) -> dict[str, Any]:
    """A rule, not stored yet, that blocks an actor: an address, session or user; `until` in ms since the epoch."""
    fields = {"address": "ip_address", "session": "unique_session_key", "user": "user"}
    if kind not in fields:
        raise ValueError(f"an actor is an {', '.join(fields)}, not {kind[:60]!r}")
    condition = {"field": fields[kind], "operator": "eq", "key": None, "value": value}
    return wire_form(
        {
            "uuid": str(uuid.uuid5(uuid.NAMESPACE_URL, f"metlo-otel:{kind}:{value}")),
            "name": f"block {kind} {value}"[:255],
            "ruleType": "block",
            "action": {"actionType": "block", "blockEndTime": until},
            "conditionGroups": [{"rule": "all", "conditions": [condition]}],
        }
    )


def _stored(row: Any) -> StoredRule:
    document = json.loads(row.document)
    return StoredRule(row.id, row.position, row.name, row.kind, row.mode, row.enabled, document, row.made, row.changed)
