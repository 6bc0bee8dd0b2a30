"""Which alerts traces raise, and how much risk their endpoints have."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from metlo_otel.analysis.builtin_classes import BUILTIN_CLASSES
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
    keys: Mapping[int, EndpointKey], added: Sequence[Known], new: Mapping[int, Sequence[Fact]], known: InForce
) -> list[Alert]:
    """What is raised where something new was seen: `added` are new endpoints, `new` the facts that were not known of
    endpoints, which have these `keys`.
    """
    alerts = [alert for endpoint in added if endpoint.key.host != "*" for alert in _of_endpoint(endpoint, known)]
    for number, facts in new.items():
        for fact in facts:
            alerts += _of_fact(number, keys[number], fact, known.severities)
    return alerts


def alerts_of(placed: Placed) -> list[Alert]:
    """What traces themselves raise."""
    alerts: list[Alert] = []
    for endpoint, trace in placed:
        if trace.findings or trace.invalid or trace.sensitive or trace.blocked:
            alerts += _of_trace(endpoint, trace)
    return alerts


def _of_endpoint(endpoint: Known, known: InForce) -> Iterator[Alert]:
    yield Alert("new_endpoint", str(endpoint.id), "low", endpoint.id, _named(endpoint.key))
    if not known.is_described(endpoint.key):
        detail = {**_named(endpoint.key), "difference": "the description does not have this endpoint"}
        yield Alert("spec_diff", f"{endpoint.id}", "medium", endpoint.id, detail)


def _of_fact(endpoint: int, key: EndpointKey, fact: Fact, severities: Mapping[str, str]) -> Iterator[Alert]:
    if fact.kind == "class":
        severity = severities.get(fact.name, "low")
        if severity != "none":
            detail = {**_named(key), "class": fact.name, "field": fact.key}
            yield Alert("sensitive_data", f"{endpoint}:{fact.name}", severity, endpoint, detail)
            if fact.key.startswith(("reqQuery", "reqPath")):
                yield Alert("sensitive_in_url", f"{endpoint}:{fact.name}:{fact.key}", severity, endpoint, detail)
    elif fact == Fact("", 0, "flag", "basic"):
        yield Alert("basic_authentication", str(endpoint), "medium", endpoint, _named(key))
    elif fact == Fact("", 0, "flag", "http") and not _is_local(key.host):
        yield Alert("no_tls", key.host, "high", endpoint, _named(key))


def _of_trace(endpoint: Known, trace: Trace) -> Iterator[Alert]:
    number, named = endpoint.id, _named(endpoint.key)
    for finding in trace.findings:
        severity = "medium" if trace.blocked or finding.confidence == "low" else "high"
        detail = {**named, "category": finding.category, "field": finding.field, "source": trace.source}
        yield Alert("attack", f"{number}:{finding.category}", severity, number, detail)
    for key in trace.invalid[:20]:
        detail = {**named, "field": key[:512], "difference": "a response differs from the description"}
        yield Alert("spec_diff", f"{number}:{key[:512]}", "low", number, detail)
    if trace.authenticated is False and trace.status < 400:
        classes = sorted(
            {name for key, names in trace.sensitive.items() if key.startswith("resBody") for name in names}
        )
        if classes:
            yield Alert("unauthenticated_data", str(number), "high", number, {**named, "classes": classes})
    if trace.blocked and trace.status == 429:
        yield Alert("rate_limit", f"{number}:{trace.rule or ''}", "low", number, {**named, "source": trace.source})


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
