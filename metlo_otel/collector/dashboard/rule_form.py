"""A rule as a form: one group of conditions, which is what most rules are; the others are written as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from metlo_otel.blocking.every_request import EVERY_PATH
from metlo_otel.blocking.friendly import moment
from metlo_otel.blocking.rules import IDENTIFIERS, INTERVALS, KINDS, UNITS
from metlo_otel.blocking.vocabulary import FIELDS, OPERATORS
from metlo_otel.collector.dashboard.forms import Form
from metlo_otel.collector.dashboard.text import json_text

ROWS = 3  # rows for conditions at least; there is always an empty one
CHOICES: dict[str, Mapping[str, str]] = {
    "kinds": {"block": "Block", "rate_limit": "Limit the rate", "tag": "Tag"},
    "modes": {"block": "Enforce", "monitor": "Only watch"},
    "matches": {"all": "all of these are so", "one": "at least one of these is so"},
    "fields": {name: field.words for name, field in FIELDS.items()},
    "operators": {name: operator.words for name, operator in OPERATORS.items()},
    "intervals": {name: name.replace("_", " ") for name in INTERVALS},
    "identifiers": {"ip": "address", "user": "user", "session": "session"},
}
_EVERY = ("path", "eq", "*")
_EPOCH = datetime(1970, 1, 1)  # the field has no offset: it is UTC
_EMPTY_LIMIT = {"threshold": "100", "interval": "minute_1", "hour": "0", "minute": "10", "second": "0"}


@dataclass(frozen=True, slots=True)
class Row:
    """A condition as text fields."""

    field: str = ""
    operator: str = "eq"
    key: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class RuleForm:
    """All fields of the form, as text; `text` is the rule as JSON, where that is how it is written."""

    uuid: str = ""
    name: str = ""
    kind: str = "block"
    mode: str = "monitor"
    enabled: bool = True
    match: str = "all"
    rows: Sequence[Row] = ()
    tag: str = ""
    identifiers: Sequence[str] = ()
    limit: Mapping[str, str] | None = None
    until: str = ""
    text: str | None = None

    @property
    def shown_rows(self) -> Sequence[Row]:
        """The conditions, and empty rows to write more into."""
        return [*self.rows, *[Row()] * max(ROWS - len(self.rows), 1)]

    @property
    def shown_limit(self) -> Mapping[str, str]:
        """The rate limit, or what to begin with."""
        return {**_EMPTY_LIMIT, **(self.limit or {})}


def form_of(document: Mapping[str, Any], enabled: bool) -> RuleForm:
    """The form of a rule that is stored; as JSON where its conditions are more than one list of them."""
    groups = _joined(document["conditionGroups"])
    form = RuleForm(uuid=document["uuid"], name=document.get("name") or "", enabled=enabled)
    if len(groups) > 1:
        return replace(form, text=json_text(document))
    group = groups[0]
    action = document.get("action") or {}
    return replace(
        form,
        kind=document["ruleType"],
        mode=document.get("mode") or "block",
        match=group["rule"],
        rows=[_row(condition) for condition in group["conditions"]],
        tag=document.get("tagName") or "",
        identifiers=document.get("identifiers") or (),
        limit=_limit(action.get("rateLimit")),
        until=until_text(action.get("blockEndTime")),
    )


def form_for(endpoint: Mapping[str, Any], kind: str) -> RuleForm:
    """The form of a rule for one endpoint; a path with parameters is matched by its beginning and its end."""
    method, path = endpoint["method"], endpoint["path"]
    rows = [Row("method", "eq", "", method)]
    begin, opened, _ = path.partition("{")
    if not opened:
        rows.append(Row("path", "eq", "", path))
    else:
        end = path.rpartition("}")[2]
        rows.append(Row("path", "startswith", "", begin))
        rows += [Row("path", "endswith", "", end)] if end.strip("/") else []
    named = f"metlo-otel:endpoint:{endpoint['host']}:{method}:{path}:{kind}"
    return RuleForm(
        uuid=str(uuid5(NAMESPACE_URL, named)),
        name=f"{kind.replace('_', ' ')} {method} {path}"[:255],
        kind=kind,
        rows=rows,
    )


def read_rule_form(form: Form) -> RuleForm:
    """What somebody filled in."""
    columns = [form.all(name) for name in ("field", "operator", "key", "value")]
    rows = [Row(*cells) for cells in zip(*columns, strict=False)]
    text = form.get("text")
    return RuleForm(
        uuid=form.get("uuid"),
        name=form.get("name").strip(),
        kind=form.get("kind") if form.get("kind") in KINDS else "block",
        mode=form.get("mode") or "monitor",
        enabled=form.get("enabled") == "on",
        match=form.get("match") or "all",
        rows=[row for row in rows if row.field],
        tag=form.get("tag").strip(),
        identifiers=[name for name in form.all("identifiers") if name in IDENTIFIERS],
        limit={name: form.get(name) or "0" for name in _EMPTY_LIMIT},
        until=form.get("until").strip(),
        text=text if text.strip() else None,
    )


def until_text(milliseconds: float | None) -> str:
    """A moment as browsers have it in a field, in UTC; empty for none, and for one that no calendar has."""
    try:
        return (
            (_EPOCH + timedelta(milliseconds=milliseconds)).isoformat(timespec="milliseconds") if milliseconds else ""
        )
    except OverflowError:
        return ""


def item_of(form: RuleForm) -> Any:
    """The rule that a form describes, still to be checked. Raises ValueError for what no form can mean."""
    if form.text is not None:
        try:
            return json.loads(form.text)
        except (ValueError, RecursionError) as problem:
            raise ValueError(f"this is not JSON: {problem}") from None
    item: dict[str, Any] = {
        "name": form.name,
        "ruleType": form.kind,
        "mode": form.mode,
        "tagName": form.tag if form.kind == "tag" else None,
        "identifiers": list(form.identifiers) if form.kind == "rate_limit" and form.identifiers else None,
        "action": _action(form),
        "conditionGroups": [{"rule": form.match, "conditions": [_condition(row) for row in form.rows]}],
    }
    return {**item, "uuid": form.uuid} if form.uuid else item


def _joined(groups: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Groups as one where they mean the same: all of them must hold, so those of which all conditions must are one."""
    if all(group["rule"] == "all" or len(group["conditions"]) == 1 for group in groups):
        return [{"rule": "all", "conditions": [each for group in groups for each in group["conditions"]]}]
    return groups


def _action(form: RuleForm) -> dict[str, Any] | None:
    if form.kind == "tag":
        return None
    action: dict[str, Any] = {"actionType": "block", "blockEndTime": int(moment(form.until)) if form.until else None}
    if form.kind == "rate_limit":
        limit = form.shown_limit
        action["rateLimit"] = {
            "threshold": _number(limit["threshold"], "how many requests"),
            "interval": limit["interval"],
            "duration": {unit: _number(limit[unit], unit) for unit, _ in UNITS},
        }
    return action


def _condition(row: Row) -> dict[str, Any]:
    """A row as a condition; `*` as the path is every path, as in rules files."""
    if (row.field, row.operator, row.value.strip()) == _EVERY:
        return asdict(EVERY_PATH)
    key = row.key.strip() if row.field in FIELDS and FIELDS[row.field].keyed else None
    return {"field": row.field, "operator": row.operator, "key": key, "value": row.value}


def _row(condition: Mapping[str, Any]) -> Row:
    row = Row(condition["field"], condition["operator"], condition.get("key") or "", str(condition["value"]))
    every = (row.field, row.operator, row.value) == (EVERY_PATH.field, EVERY_PATH.operator, EVERY_PATH.value)
    return Row("path", "eq", "", "*") if every else row


def _limit(given: Mapping[str, Any] | None) -> Mapping[str, str] | None:
    if given is None:
        return None
    duration = given["duration"]
    units = {unit: str(duration.get(unit) or 0) for unit, _ in UNITS}
    return {"threshold": str(given["threshold"]), "interval": given["interval"], **units}


def _number(text: str, what: str) -> int:
    if text.strip().isdecimal() and len(text) < 12:
        return int(text)
    raise ValueError(f"{what}: a whole number is expected, not {text[:60]!r}")
