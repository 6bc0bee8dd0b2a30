"""Rules as people write them: `path: /admin/*`, `limit: 5 per minute`, and what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, time, timezone
from typing import Any

from metlo_otel.blocking import rules
from metlo_otel.blocking.checks import RuleError, one_of, shown, text, whole_number
from metlo_otel.blocking.every_request import SAID, needs_condition
from metlo_otel.blocking.friendly_conditions import CONDITIONS, Mistakes, condition_groups
from metlo_otel.blocking.rules import RateLimit, Rule

NAMES = ("name", "id", "mode", "until", "block", "limit", "by", "for", "tag", *CONDITIONS)
UNITS = {
    "second": 1,
    "sec": 1,
    "s": 1,
    "minute": 60,
    "min": 60,
    "m": 60,
    "hour": 3600,
    "h": 3600,
    "day": 86400,
    "d": 86400,
}
LONGEST_INTERVAL = 86_400  # seconds; a window's requests must be remembered for as long

_AMOUNT = re.compile(r"\s*(\d+)?\s*([a-z]+)\s*(?:,|and\b)?", re.IGNORECASE)
_LIMIT = re.compile(r"\s*(-?\d+)\s*(?:requests?|times)?\s*(?:per|in|every|/)\s*(.+)", re.IGNORECASE)


def parse_friendly(item: Mapping[str, Any], place: int) -> tuple[Rule | None, list[RuleError]]:
    """One rule of a rules file, and everything that is wrong with it (then there is no rule)."""
    mistakes = Mistakes()
    for field in item:
        mistakes.attempt(one_of, field, NAMES, str(field))
    known = not mistakes.found
    kind = mistakes.attempt(_kind, item)
    name = mistakes.attempt(text, item["name"], "name") if "name" in item else None
    chosen = mistakes.attempt(text, item["id"], "id") if "id" in item else None
    mode = mistakes.attempt(one_of, item.get("mode", "block"), ("block", "monitor"), "mode")
    ends = mistakes.attempt(moment, item["until"]) if "until" in item else None
    limit = mistakes.attempt(_limit, item) if "limit" in item else None
    by = mistakes.attempt(_by, item)
    asked = [field for field in CONDITIONS if field in item]
    groups = [group for field in asked for group in condition_groups(field, item[field], mistakes)]
    if kind and known and not asked and by is not None and needs_condition(kind, by):
        mistakes.add("block" if kind == rules.BLOCK else "limit", f"needs one of {', '.join(CONDITIONS)}; {SAID}")
    if kind != rules.RATE_LIMIT and "status" in item:
        mistakes.add("status", "is known after the response: only rules with a limit may ask for it")
    if known and kind is None and not mistakes.found:
        mistakes.add("", "a rule needs one of block: true, limit: 5 per minute or tag: a name")
    if mistakes.found or kind is None:
        return None, mistakes.found
    tag = item["tag"] if kind == rules.TAG else None
    return Rule(
        chosen or f"local:{name or place + 1}",
        kind,
        tuple(groups),
        tag,
        by or () if kind == rules.RATE_LIMIT else (),
        limit,
        ends,
        name,
        mode == "monitor",
    ), []


def seconds(value: Any, where: str) -> float:
    """A time span: `10 minutes`, `1 hour 30 minutes`, `90s`, or a number of seconds. Raises RuleError."""
    right = "is a time like '10 minutes', '1 hour 30 minutes' or '90s'"
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    if not isinstance(value, str) or not value.strip():
        raise RuleError(where, f"{right}, not {shown(value)}")
    total, at = 0, 0
    while at < len(value.rstrip()):
        match = _AMOUNT.match(value, at)
        if match is None:
            raise RuleError(where, f"{right}, not {shown(value)}")
        unit = match[2].lower()
        unit = unit if unit in UNITS else unit.removesuffix("s")
        total += int(match[1] or 1) * UNITS[one_of(unit, UNITS, where, "its unit ")]
        at = match.end()
    if not 0 < total < 1e10:
        raise RuleError(where, f"{right}, not {shown(value)}")
    return total


def _kind(item: Mapping[str, Any]) -> str | None:
    """What the rule does; None where it does not say, which is a mistake of its own."""
    if item.get("block", True) is not True:
        right = "is true or left out (mode: monitor only watches)"
        raise RuleError("block", f"{right}, not {shown(item['block'])}")
    if "limit" in item and "tag" not in item:
        if "block" in item:
            raise RuleError("block", "does not go with limit, which blocks what is over it: leave one of the two out")
        return rules.RATE_LIMIT
    for name in ("by", "for"):
        if name in item:
            raise RuleError(name, "belongs to a limit, like limit: 5 per minute")
    if "tag" in item and "block" not in item and "limit" not in item:
        text(item["tag"], "tag")
        return rules.TAG
    if "tag" in item:
        raise RuleError("tag", "is a rule of its own: write a second rule with the same conditions")
    return rules.BLOCK if "block" in item else None


def moment(value: Any) -> float:
    """ISO 8601 in milliseconds since 1970; UTC where no offset is given, a day alone means its end."""
    right = "is a day or a time like 2030-01-31 or 2030-01-31T18:00:00Z"
    if not isinstance(value, str):
        raise RuleError("until", f"{right}, not {shown(value)}")
    try:
        if len(value.strip()) == 10:
            moment = datetime.combine(date.fromisoformat(value.strip()), time.max)
        else:
            moment = datetime.fromisoformat(re.sub(r"\s*[zZ]$", "+00:00", value.strip()))
        moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
        return moment.timestamp() * 1000
    except (ValueError, OverflowError):
        raise RuleError("until", f"{right}, not {shown(value)}") from None


def _limit(item: Mapping[str, Any]) -> RateLimit:
    value = item["limit"]
    match = _LIMIT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise RuleError("limit", f"is a number of requests in a time, like '5 per minute', not {shown(value)}")
    threshold = whole_number(int(match[1][:18]), "limit", 1, "its number of requests ")
    interval = seconds(match[2], "limit")
    if interval > LONGEST_INTERVAL:
        raise RuleError("limit", f"counts over at most a day, not over {shown(match[2])}")
    return RateLimit(threshold, interval, seconds(item["for"], "for") if "for" in item else interval)


def _by(item: Mapping[str, Any]) -> tuple[str, ...]:
    value = item.get("by", "ip")
    names = value if isinstance(value, list) else [value]
    read = [one_of(name, (*rules.IDENTIFIERS, "everyone"), "by") for name in names]
    if not read or ("everyone" in read and len(read) > 1):
        raise RuleError("by", "is ip, user, session, several of these in a list, or everyone")
    return tuple(dict.fromkeys(name for name in read if name != "everyone"))
