"""Where alerts go: webhooks, and all that Apprise knows, each with rules of what it is told."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Connection, delete, insert, select, update

from metlo_otel.collector.alert_kinds import KINDS
from metlo_otel.collector.audit import note
from metlo_otel.collector.keys import Grant, check_hosts
from metlo_otel.collector.schema_telling import DESTINATIONS

WEBHOOK, APPRISE = "webhook", "apprise"
SEVERITIES = ("low", "medium", "high")
_MOST = 50
_LONGEST_NAME, _LONGEST_URL = 64, 2000
_SHORTEST_SECRET = 16


@dataclass(frozen=True, slots=True)
class Rules:
    """Which alerts: of the least `severity` and above, of `kinds` (none: all), about `hosts` (none: all), which may be
    `*.name`.
    """

    severity: str = "low"
    kinds: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()

    def want(self, alert: Mapping[str, Any]) -> bool:
        """Whether an alert is one of these."""
        if SEVERITIES.index(alert["severity"]) < SEVERITIES.index(self.severity):
            return False
        if self.kinds and alert["kind"] not in self.kinds:
            return False
        return not self.hosts or Grant(hosts=self.hosts).sends(str(alert["detail"].get("host", "")))


@dataclass(frozen=True, slots=True)
class Destination:
    """One place. After `failures` in a row nothing is sent before `next_try`; times are in milliseconds."""

    id: int
    name: str
    kind: str
    url: str = field(repr=False)
    secret: str | None = field(repr=False)
    rules: Rules
    enabled: bool
    failures: int
    next_try: int

    @property
    def shown(self) -> str:
        """The URL without what may be a secret: all but its scheme and, of a webhook, its host."""
        scheme, _, rest = self.url.partition("://")
        host = urlsplit(self.url).netloc.rpartition("@")[2] if self.kind == WEBHOOK and rest else ""
        return f"{scheme}://{host}…"


def check_rules(severity: str = "low", kinds: Sequence[str] = (), hosts: Sequence[str] = ()) -> Rules:
    """Rules as somebody wrote them. Raises ValueError."""
    if severity not in SEVERITIES:
        raise ValueError(f"a severity is {', '.join(SEVERITIES)}, not {severity[:60]!r}")
    if unknown := [kind for kind in kinds if kind not in KINDS]:
        raise ValueError(f"alerts are {', '.join(KINDS)}, not {unknown[0][:60]!r}")
    return Rules(severity, tuple(kinds) if len(kinds) < len(KINDS) else (), check_hosts(hosts) or ())


def add_destination(
    connection: Connection, name: str, url: str, who: str, rules: Rules = Rules(), secret: str | None = None
) -> str | None:
    """Tell alerts to one more place; the secret that signs what a webhook gets, which is made unless one is given.
    Raises ValueError.
    """
    name, url = name.strip(), url.strip()
    kind = _check(connection, name, url)
    if secret is not None and len(secret) < _SHORTEST_SECRET:
        raise ValueError(f"a webhook's secret has at least {_SHORTEST_SECRET} characters")
    row = {"name": name, "kind": kind, "url": url, "enabled": True, "failures": 0, "next_try": 0}
    signing = (secret or secrets.token_urlsafe(24)) if kind == WEBHOOK else None
    row |= {"secret": signing, "rules": _write(rules), "made": int(time.time() * 1000)}
    connection.execute(insert(DESTINATIONS), row)
    note(connection, who, "destinations.add", {"name": name, "kind": kind})
    return signing


def change_destination(
    connection: Connection, number: int, who: str, rules: Rules | None = None, enabled: bool | None = None
) -> bool:
    """Tell a place of other alerts, or of none or again; it is tried again at once. Whether there was one."""
    values: dict[str, Any] = {"failures": 0, "next_try": 0}
    values |= {} if rules is None else {"rules": _write(rules)}
    values |= {} if enabled is None else {"enabled": enabled}
    changed = update(DESTINATIONS).where(DESTINATIONS.c.id == number).values(values).returning(DESTINATIONS.c.name)
    name = connection.execute(changed).scalar()
    if name is not None:
        told = {} if enabled is None else {"enabled": enabled}
        note(connection, who, "destinations.change", {"name": name, **told, "rules": values.get("rules", "")})
    return name is not None


def remove_destination(connection: Connection, number: int, who: str) -> bool:
    """Tell a place no more, and forget what it was told; whether there was one."""
    gone = delete(DESTINATIONS).where(DESTINATIONS.c.id == number).returning(DESTINATIONS.c.name)
    name = connection.execute(gone).scalar()
    if name is not None:
        note(connection, who, "destinations.remove", {"name": name})
    return name is not None


def list_destinations(connection: Connection) -> list[Destination]:
    """All places by name."""
    table = DESTINATIONS.c
    columns = (table.id, table.name, table.kind, table.url, table.secret, table.rules, table.enabled)
    rows = select(*columns, table.failures, table.next_try).order_by(table.name)
    return [
        Destination(*row[:5], _read(row.rules), bool(row.enabled), row.failures, row.next_try)
        for row in connection.execute(rows)
    ]


def _check(connection: Connection, name: str, url: str) -> str:
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise ValueError(f"the name of a destination has 1 to {_LONGEST_NAME} printable characters")
    known = [each.name for each in list_destinations(connection)]
    if name in known:
        raise ValueError(f"there is a destination called {name!r} already")
    if len(known) >= _MOST:
        raise ValueError(f"there are at most {_MOST} destinations")
    return kind_of(url)


def kind_of(url: str) -> str:
    """How a URL is spoken to. Raises ValueError, whose text does not tell it, for what nobody knows how to."""
    scheme = url.partition("://")[0].lower()
    if len(url) > _LONGEST_URL or not url.isprintable() or "://" not in url:
        raise ValueError("a destination has a URL, such as https://hooks.example/metlo or mailto://user:password@host")
    if scheme in ("http", "https"):
        if not urlsplit(url).hostname:
            raise ValueError("the webhook's URL has no host")
        return WEBHOOK
    try:
        import apprise
    except ImportError:
        raise ValueError(f"{scheme[:20]}:// needs the extra: pip install 'metlo-otel[notify]'") from None
    if apprise.Apprise.instantiate(url, suppress_exceptions=True) is None:
        raise ValueError(f"Apprise does not know what to do with this {scheme[:20]}:// URL; its documentation has them")
    return APPRISE


def _write(rules: Rules) -> str:
    return json.dumps({"severity": rules.severity, "kinds": rules.kinds, "hosts": rules.hosts})


def _read(text: str) -> Rules:
    found = json.loads(text)
    return Rules(found.get("severity", "low"), tuple(found.get("kinds", ())), tuple(found.get("hosts", ())))
