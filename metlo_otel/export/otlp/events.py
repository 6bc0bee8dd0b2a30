"""What was found in an exchange as events: attacks, blocks, limits and sensitive data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from opentelemetry._logs import SeverityNumber

from metlo_otel.core.processed import Processed
from metlo_otel.core.record import Record
from metlo_otel.export.spans import ExchangeSpan

_MOST = 20  # events of one kind about one exchange
_REMEMBERED = 10_000  # classes of data in fields that were told of


@dataclass(frozen=True, slots=True)
class Event:
    """One finding; `attributes` are what it adds to the request's."""

    name: str
    severity: SeverityNumber
    text: str
    attributes: Mapping[str, Any]


class Events:
    """Makes events; tells of a class of data in a field of an endpoint once in a process."""

    def __init__(self) -> None:
        self._told: dict[tuple[str, ...], None] = {}

    def of(self, span: ExchangeSpan) -> Iterator[Event]:
        """The events of an exchange that was examined."""
        record, found = span.record, span.processed
        where = f"{record.method} {record.route or record.path}"
        yield from _attacks(found, where)
        yield from _verdict(record, where)
        yield from self._data(record, found, where)

    def _data(self, record: Record, found: Processed, where: str) -> Iterator[Event]:
        for key, classes in list(found.sensitive.items())[:_MOST]:
            for name in classes:
                place = (record.host, record.method, record.route or "", key, name)
                if place not in self._told:
                    self._told[place] = None
                    given = {"metlo.data.class": name, "metlo.data.field": key}
                    yield Event("metlo.sensitive_data", SeverityNumber.INFO, f"{name} in {key} of {where}", given)
        while len(self._told) > _REMEMBERED:
            del self._told[next(iter(self._told))]


def _attacks(found: Processed, where: str) -> Iterator[Event]:
    known = {(each.key, each.category): each.confidence for each in found.fragments}
    pairs = [(key, category) for key, categories in found.attacks.items() for category in categories]
    for key, category in pairs[:_MOST]:
        confidence = known.get((key, category))
        given = {
            "security_rule.category": "attack",
            "metlo.attack.type": category,
            "metlo.attack.field": key,
            "metlo.attack.confidence": confidence,
        }
        severity = SeverityNumber.WARN if confidence == "low" else SeverityNumber.ERROR
        yield Event("metlo.attack", severity, f"{category} in {key} of {where}", given)


def _verdict(record: Record, where: str) -> Iterator[Event]:
    verdict = record.verdict
    if not (verdict.blocked or verdict.would_block):
        return
    what = "rate_limit" if verdict.rate_limited else "block"
    given = {
        "security_rule.category": what,
        "security_rule.uuid": verdict.rule,
        "security_rule.name": verdict.rule_name,
        "metlo.blocked": verdict.blocked,
        "metlo.tags": list(verdict.tags) or None,
    }
    name = f"metlo.{what}" if verdict.blocked else f"metlo.would_{what}"
    severity = SeverityNumber.WARN if verdict.blocked else SeverityNumber.INFO
    done = {"block": "blocked", "rate_limit": "limited"}[what] if verdict.blocked else "would be rejected"
    rule = verdict.rule_name or verdict.rule
    yield Event(name, severity, f"{where} {done}" + (f" by {rule}" if rule else ""), given)
