"""Which alerts traces raise, and how much risk their endpoints have."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, update

from metlo_otel.analysis.builtin_classes import BUILTIN_CLASSES
from metlo_otel.collector.alert_kinds import difference
from metlo_otel.collector.alerts import Alert
from metlo_otel.collector.configuration import read_parts, read_version
from metlo_otel.collector.endpoints import EndpointKey
from metlo_otel.collector.facts import Facts
from metlo_otel.collector.hosts import foreign_hosts
from metlo_otel.collector.inventory import Known
from metlo_otel.collector.learnt import Fact
from metlo_otel.collector.risk import risk
from metlo_otel.collector.schema import ENDPOINTS
from metlo_otel.collector.specs import described_endpoints, read_specs
from metlo_otel.collector.trace import Trace
from metlo_otel.core.agent_config import AgentConfig, parse_agent_config
from metlo_otel.core.routes import fits

Placed = Sequence[tuple[Known, Trace]]
_BUILTIN = {each.name: each.severity for each in BUILTIN_CLASSES}
_MANY_HOSTS = 10_000
LEARNING = 86_400_000  # milliseconds in which all endpoints of a host are new


def _say_nothing(_problem: str) -> None:
    """What is broken was told when it was configured."""


@dataclass(slots=True)
class InForce:
    """The configuration as the writer needs it, read again when it has changed."""

    version: str | None = None
    severities: Mapping[str, str] = field(default_factory=lambda: _BUILTIN)
    described: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)
    _config: AgentConfig = field(default_factory=AgentConfig)
    _foreign: frozenset[str] = frozenset()
    _hosts: dict[str, str] = field(default_factory=dict)

    def refresh(self, connection: Connection) -> bool:
        """Read it where it has changed; whether it has."""
        version = read_version(connection)
        if version == self.version:
            return False
        self._config = parse_agent_config(read_parts(connection), _say_nothing)
        classes = self._config.data_classes
        self.severities = _BUILTIN if classes is None else {each.name: each.severity for each in classes}
        self.described = {host: described_endpoints(text) for host, text in read_specs(connection).items()}
        self._foreign = foreign_hosts(connection)
        self._hosts.clear()
        self.version = version
        return True

    def map_host(self, host: str) -> str:
        """The name under which a host is known, `*` for one that people said not to be theirs."""
        found = self._hosts.get(host)
        if found is None:
            if len(self._hosts) >= _MANY_HOSTS:
                self._hosts.clear()
            name = self._config.map_host(host)
            found = self._hosts[host] = "*" if name in self._foreign else name
        return found

    def is_described(self, key: EndpointKey) -> bool:
        """Whether the host's description has this endpoint; so it is where the host has no description."""
        described = self.described.get(key.host)
        return described is None or any(key.method == method and fits(path, key.path) for method, path in described)


def alerts_of_new(
    connection: Connection,
    keys: Mapping[int, EndpointKey],
    added: Sequence[Known],
    new: Mapping[int, Sequence[Fact]],
    facts: Facts,
    known: InForce,
    now: int,
) -> list[Alert]:
    """What is raised at `now` (ms) where endpoints were `added` and something `new` was learnt of some, which have
    these `keys`. An endpoint is new once the app answered there: what was only ever blocked is none of the app's.
    """
    found = {endpoint.id for endpoint in added}
    answered = [
        number
        for number in sorted({*new, *found} & keys.keys())
        if keys[number].host != "*" and _is_new(facts.of(number), new.get(number, ()), number in found)
    ]
    young = _young_hosts(connection, {keys[number].host for number in answered}, now) if answered else set()
    alerts = [alert for number in answered for alert in _of_endpoint(number, keys[number], known, young)]
    for number, told in new.items():
        for fact in told:
            alerts += _of_fact(number, keys[number], fact, known.severities)
    return alerts


def _is_new(all_facts: Iterable[Fact], new: Sequence[Fact], added: bool) -> bool:
    """Whether the app answers at an endpoint that was added now, or did so for the first time."""
    ever = sum(fact.kind == "answered" for fact in all_facts)
    return ever > 0 and (added or ever == sum(fact.kind == "answered" for fact in new))


def _young_hosts(connection: Connection, hosts: Set[str], now: int) -> set[str]:
    """Those whose first endpoint was seen less than a day ago: all of their endpoints are new."""
    table = ENDPOINTS.c
    first = select(table.host).where(table.host.in_(hosts)).group_by(table.host)
    return set(connection.execute(first.having(func.min(table.first_seen) > now - LEARNING)).scalars())


def alerts_of(placed: Placed) -> list[Alert]:
    """What traces themselves raise."""
    alerts: list[Alert] = []
    for endpoint, trace in placed:
        if trace.findings or trace.invalid or trace.sensitive or trace.blocked:
            alerts += _of_trace(endpoint, trace)
    return alerts


def _of_endpoint(number: int, key: EndpointKey, known: InForce, young: Set[str]) -> Iterator[Alert]:
    if key.host in young:
        yield Alert("endpoints_found", key.host, None, {"host": key.host})
    else:
        yield Alert("new_endpoint", str(number), number, _named(key))
    if not known.is_described(key):
        detail = {**_named(key), "difference": f"the description of {key.host} does not have this endpoint"}
        yield Alert("spec_diff", f"{number}", number, detail, "medium")


def _of_fact(endpoint: int, key: EndpointKey, fact: Fact, severities: Mapping[str, str]) -> Iterator[Alert]:
    if fact.kind == "class":
        severity = severities.get(fact.name, "low")
        if severity != "none":
            detail = {**_named(key), "class": fact.name, "field": fact.key}
            yield Alert("sensitive_data", f"{endpoint}:{fact.name}", endpoint, detail, severity)
            if fact.key.startswith(("reqQuery", "reqPath")):
                yield Alert("sensitive_in_url", f"{endpoint}:{fact.name}:{fact.key}", endpoint, detail, severity)
    elif fact == Fact("", 0, "flag", "basic"):
        yield Alert("basic_authentication", str(endpoint), endpoint, _named(key))
    elif fact == Fact("", 0, "flag", "http") and not _is_local(key.host):
        yield Alert("no_tls", key.host, endpoint, _named(key))


def _of_trace(endpoint: Known, trace: Trace) -> Iterator[Alert]:
    number, named = endpoint.id, _named(endpoint.key)
    for finding in trace.findings:
        severity = "medium" if trace.blocked or finding.confidence == "low" else ""
        detail = {**named, "category": finding.category, "field": finding.field, "source": trace.source}
        yield Alert("attack", f"{number}:{finding.category}", number, detail, severity)
    if not trace.blocked:
        yield from _of_answer(number, named, trace)
    elif trace.status == 429:
        yield Alert("rate_limit", f"{number}:{trace.rule or ''}", number, {**named, "source": trace.source})


def _of_answer(number: int, named: dict[str, Any], trace: Trace) -> Iterator[Alert]:
    """What the app's own answer raises: that of a request which we blocked is ours."""
    for key, messages in list(trace.invalid.items())[:20]:
        types = trace.data_types.get(key, [])
        detail = {**named, "field": key[:512], "difference": difference(key[:512], list(messages), types)}
        yield Alert("spec_diff", f"{number}:{key[:512]}", number, detail)
    if trace.authenticated is False and trace.status < 400:
        classes = sorted(
            {name for key, names in trace.sensitive.items() if key.startswith("resBody") for name in names}
        )
        if classes:
            yield Alert("unauthenticated_data", str(number), number, {**named, "classes": classes})


def _named(key: EndpointKey) -> dict[str, Any]:
    named = {"host": key.host, "method": key.method, "path": key.path}
    return {**named, "operation": key.operation} if key.operation else named


def _is_local(host: str) -> bool:
    """Whether requests to a host stay within a machine or a house."""
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    try:
        return not ipaddress.ip_address(name).is_global
    except ValueError:
        return name == "localhost" or "." not in name or name.endswith((".localhost", ".local", ".internal", ".test"))


def set_risks(connection: Connection, endpoints: Sequence[int], facts: Facts, severities: Mapping[str, str]) -> None:
    """Judge endpoints anew of which something new is known."""
    if endpoints:
        statement = update(ENDPOINTS).where(ENDPOINTS.c.id == bindparam("endpoint")).values(risk=bindparam("points"))
        rows = [{"endpoint": number, "points": risk(facts.of(number), severities)} for number in sorted(endpoints)]
        connection.execute(statement, rows)


def endpoints_of(connection: Connection, host: str) -> list[tuple[int, EndpointKey]]:
    """The endpoints of a host."""
    table = ENDPOINTS.c
    rows = select(table.id, table.host, table.method, table.path, table.operation).where(table.host == host)
    return [(number, EndpointKey(*named)) for number, *named in connection.execute(rows.order_by(table.id))]
