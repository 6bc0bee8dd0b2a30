"""Telling alerts: a line in the log, and a signed POST to each webhook."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from sqlalchemy import Connection, select, update

from metlo_otel.collector.audit import note
from metlo_otel.collector.configuration import get_setting, put_setting
from metlo_otel.collector.schema import ALERTS

if TYPE_CHECKING:
    from metlo_otel.collector.store import Store

LOG = logging.getLogger("metlo_otel.collector.alerts")

SETTING = "webhooks"
_AT_ONCE = 50  # alerts told in one go
_ATTEMPTS = 5
_TIMEOUT = 5.0  # seconds
_MOST = 10  # webhooks


def set_webhooks(connection: Connection, webhooks: Sequence[Mapping[str, str]], who: str) -> None:
    """Say where alerts go: `[{"url", "secret"}]`. Raises ValueError for what is no URL of http or https."""
    for webhook in webhooks:
        parts = urlsplit(str(webhook.get("url")))
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"a webhook has a URL of http or https, not {str(webhook.get('url'))[:100]!r}")
        if len(str(webhook.get("secret") or "")) < 16:
            raise ValueError("a webhook has a secret of at least 16 characters, which its signature is made with")
    if len(webhooks) > _MOST:
        raise ValueError(f"there are at most {_MOST} webhooks")
    kept = [{"url": str(webhook["url"]), "secret": str(webhook["secret"])} for webhook in webhooks]
    put_setting(connection, SETTING, kept)
    note(connection, who, "webhooks", {"urls": [webhook["url"] for webhook in kept]})


def list_webhooks(connection: Connection) -> list[dict[str, str]]:
    """Where alerts go, secrets included."""
    found: list[dict[str, str]] = get_setting(connection, SETTING, [])
    return found


def signature(secret: str, moment: int, body: bytes) -> str:
    """The value of Metlo-Signature: `t=<seconds>,v1=<HMAC-SHA256 of "<seconds>.<body>" in hex>`."""
    digest = hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={moment},v1={digest}"


class Notifier:
    """Tells each new alert once; where a webhook takes nothing, again later, five times in all."""

    def tell(self, store: Store) -> int:
        """Tell what is new; how many alerts that were."""
        if not store.read(partial(_waiting, limit=1)):
            return 0
        alerts: list[dict[str, Any]] = store.change(_claim).result()
        webhooks = store.read(list_webhooks)
        for alert in alerts:
            if alert["attempts"] == 0:
                level = logging.INFO if alert["severity"] == "low" else logging.WARNING
                LOG.log(level, "alert: %s", json.dumps({name: alert[name] for name in ("kind", "severity", "detail")}))
        failed = [problem for webhook in webhooks if alerts and (problem := _post(webhook, alerts))]
        if failed:
            LOG.warning("alerts could not be told to %s; this is tried again", "; ".join(failed))
            store.change(partial(_release, ids=[alert["id"] for alert in alerts])).result()
        return len(alerts)


def _waiting(connection: Connection, limit: int = _AT_ONCE) -> list[dict[str, Any]]:
    table = ALERTS.c
    new = (table.notified.is_(None), table.status == "open", table.attempts < _ATTEMPTS)
    rows = connection.execute(select(ALERTS).where(*new).order_by(table.id).limit(limit))
    names = ("id", "kind", "severity", "count", "attempts")
    return [
        {**{name: getattr(row, name) for name in names}, "firstSeen": row.first_seen, "detail": json.loads(row.detail)}
        for row in rows
    ]


def _claim(connection: Connection) -> list[dict[str, Any]]:
    """New alerts, which are this process's to tell from now on."""
    now = int(time.time() * 1000)
    table = ALERTS.c
    return [
        alert
        for alert in _waiting(connection)
        if connection.execute(
            update(ALERTS).where(table.id == alert["id"], table.notified.is_(None)).values(notified=now)
        ).rowcount
    ]


def _release(connection: Connection, ids: Sequence[int]) -> None:
    changes = {"notified": None, "attempts": ALERTS.c.attempts + 1}
    connection.execute(update(ALERTS).where(ALERTS.c.id.in_(ids)).values(changes))


def _post(webhook: Mapping[str, str], alerts: Sequence[Mapping[str, Any]]) -> str | None:
    """What went wrong, if anything did."""
    body = json.dumps({"alerts": list(alerts)}).encode()
    headers = {
        "Content-Type": "application/json",
        "Metlo-Signature": signature(webhook["secret"], int(time.time()), body),
    }
    host = urlsplit(webhook["url"]).netloc.rpartition("@")[2]
    try:
        answer = requests.post(
            webhook["url"], data=body, headers=headers, timeout=_TIMEOUT, allow_redirects=False, stream=True
        )
        with answer:
            return None if 200 <= answer.status_code < 300 else f"{host}: status {answer.status_code}"
    except requests.RequestException as problem:
        return f"{host}: {type(problem).__name__}"
