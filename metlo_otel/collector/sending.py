"""Sending alerts to one destination: a signed POST to a webhook, a message in words through Apprise."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import requests

from metlo_otel.collector.dashboard import words
from metlo_otel.collector.destinations import APPRISE, Destination

Alerts = Sequence[Mapping[str, Any]]

_TIMEOUT = 5.0  # seconds
_LONGEST = 300  # characters of a line about an alert


def send(destination: Destination, alerts: Alerts, test: bool = False) -> str | None:
    """What went wrong, if anything did, in words without secrets. `test` says that nothing has happened."""
    return _tell(destination, alerts, test) if destination.kind == APPRISE else _post(destination, alerts, test)


def signature(secret: str, moment: int, body: bytes) -> str:
    """The value of Metlo-Signature: `t=<seconds>,v1=<HMAC-SHA256 of "<seconds>.<body>" in hex>`."""
    digest = hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={moment},v1={digest}"


def _post(destination: Destination, alerts: Alerts, test: bool) -> str | None:
    body = json.dumps({"alerts": list(alerts), **({"test": True} if test else {})}).encode()
    headers = {
        "Content-Type": "application/json",
        "Metlo-Signature": signature(destination.secret or "", int(time.time()), body),
    }
    host = urlsplit(destination.url).netloc.rpartition("@")[2]
    try:
        answer = requests.post(
            destination.url, data=body, headers=headers, timeout=_TIMEOUT, allow_redirects=False, stream=True
        )
        with answer:
            return None if 200 <= answer.status_code < 300 else f"{host}: status {answer.status_code}"
    except requests.RequestException as problem:
        return f"{host}: {type(problem).__name__}"


def _tell(destination: Destination, alerts: Alerts, test: bool) -> str | None:
    try:
        import apprise
    except ImportError:
        return "Apprise is not installed any more: pip install 'metlo-otel[notify]'"
    scheme = destination.url.partition("://")[0]
    to = apprise.Apprise.instantiate(destination.url, suppress_exceptions=True)
    if to is None:
        return f"Apprise does not know this {scheme}:// URL any more"
    title, body = message_of(alerts, test)
    try:
        return None if to.notify(body=body, title=title) else f"{scheme}: not delivered; Apprise's log says why"
    except Exception as problem:  # noqa: BLE001 - a plugin of a hundred; its failure is the delivery's
        return f"{scheme}: {type(problem).__name__}"


def message_of(alerts: Alerts, test: bool = False) -> tuple[str, str]:
    """Title and text for people: the severest first, each with a link to its page."""
    if test:
        return "metlo-otel: a test", "Alerts will look like this message. Nothing has happened."
    order = sorted(alerts, key=lambda alert: ("high", "medium", "low").index(alert["severity"]))
    lines = [f"{_line(alert)}\n{alert['url']}" for alert in order]
    title = _line(order[0]) if len(order) == 1 else f"metlo-otel: {len(order)} alerts"
    return title[:120], "\n\n".join(lines)


def _line(alert: Mapping[str, Any]) -> str:
    """One alert in words: `[high] Attack: GET shop.example/items/{id}, SQLI, in reqQuery.q`."""
    detail = {name: str(value) for name, value in alert["detail"].items() if value not in (None, "", [])}
    where = f"{detail.get('method', '')} {detail.get('host', '')}{detail.get('path', '')}".strip()
    told = [detail[name] for name in ("category", "class", "difference") if name in detail]
    told += [f"in {detail['field']}"] if "field" in detail else []
    told += [f"from {detail['source']}"] if "source" in detail else []
    called = words.ALERTS.get(alert["kind"], alert["kind"])
    text = f"[{alert['severity']}] {called}: {', '.join([where, *told] if where else told)}"
    return "".join(char if char.isprintable() else "\ufffd" for char in text)[:_LONGEST]
