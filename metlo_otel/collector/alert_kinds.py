"""Every kind of alert, once: what it is called, how grave it is, and why it was raised, in a sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Detail = Mapping[str, Any]

SEVERITIES = ("high", "medium", "low")
"""The gravest first."""

_SECTIONS = {
    "reqPath": "the path",
    "reqQuery": "the query parameter",
    "reqHeaders": "the request header",
    "reqBody": "the request's field",
    "resHeaders": "the response header",
    "resBody": "the response's field",
}
_WHOLE = {"reqBody": "the request's body", "resBody": "the response's body"}


@dataclass(frozen=True, slots=True)
class AlertKind:
    """`severity` is the usual one; `reason` makes a sentence of an alert's detail, which has the `count` of times
    that it was raised too; `advice` says what to do about it.
    """

    words: str
    severity: str
    reason: Callable[[Detail], str]
    advice: str


def place(key: str) -> str:
    """Where something stands, in words: "the response's field `price`" of `resBody.price`."""
    section, _, name = key.partition(".")
    if not name:
        return _WHOLE.get(section, _SECTIONS.get(section, f"`{key}`"))
    return f"{_SECTIONS.get(section, section)} `{name}`"


def difference(key: str, messages: list[str], types: list[str]) -> str:
    """How a value differs from its description, by what the agent's validator said ("type: number")."""
    told = [_broken(message, types) for message in messages] or ["is not as the description says"]
    where = f"field `{key.partition('.')[2]}`" if key.startswith("resBody.") else place(key)
    return f"{where} {', and '.join(told)}"[:500]


def _broken(message: str, types: list[str]) -> str:
    rule, _, words = message.partition(": ")
    if rule == "type":
        seen = f"is {_article(' or '.join(types))}" if types else "is of another type"
        return f"{seen}, the description says {words}"
    if rule == "required":
        return "is missing" if words == "missing" else f"lacks `{words}`, which the description requires"
    if rule == "enum":
        return "has a value that the description does not list"
    if rule == "additionalProperties":
        return "has fields that the description does not have"
    return f"breaks the description's {message}"


def _article(words: str) -> str:
    return words if words == "null" else f"{'an' if words[:1] in 'aeiou' else 'a'} {words}"


def _classes(detail: Detail) -> str:
    return ", ".join(map(str, detail.get("classes") or [detail.get("class", "sensitive data")]))


def _where(detail: Detail) -> str:
    return place(str(detail.get("field", "")))


def _endpoints(count: int) -> str:
    return f"{count:,} endpoint{'' if count == 1 else 's'}"


def _from(detail: Detail) -> str:
    return f", from {detail['source']}" if detail.get("source") else ""


KINDS: Mapping[str, AlertKind] = {
    "attack": AlertKind(
        "Attack",
        "high",
        lambda detail: f"{detail.get('category', 'an attack')} in {_where(detail)}{_from(detail)}",
        "Look at the trace; block who sent it, or have DETECTION reject such requests.",
    ),
    "unauthenticated_data": AlertKind(
        "Sensitive data without authentication",
        "high",
        lambda detail: f"{_classes(detail)} answered to a request without authentication",
        "Have the endpoint ask who it is that calls, or leave the data out.",
    ),
    "no_tls": AlertKind(
        "No TLS",
        "high",
        lambda detail: f"requests to {detail.get('host')} come without TLS, readable to all on their way",
        "Redirect to https, or have the proxy tell the agent the scheme in X-Forwarded-Proto.",
    ),
    "sensitive_in_url": AlertKind(
        "Sensitive data in a URL",
        "medium",
        lambda detail: f"{_classes(detail)} in {_where(detail)}, which logs and browsers' histories keep",
        "Send it in the body or in a header.",
    ),
    "sensitive_data": AlertKind(
        "Sensitive data",
        "medium",
        lambda detail: f"{_classes(detail)} in {_where(detail)}",
        "Check that it belongs there, and that only those see it who should.",
    ),
    "basic_authentication": AlertKind(
        "Basic authentication",
        "medium",
        lambda _: "every request carries the user's name and password (basic authentication)",
        "Use tokens or sessions, which can expire and be revoked.",
    ),
    "spec_diff": AlertKind(
        "Differs from the specification",
        "low",
        lambda detail: str(detail.get("difference") or "a response differs from the description"),
        "Mend the app or its description; the specification's page lists all differences.",
    ),
    "error_rate": AlertKind(
        "Many errors",
        "medium",
        lambda detail: f"{detail.get('errors')} of {detail.get('calls')} calls in five minutes failed",
        "Look at the latest traces with a status of 500 and above.",
    ),
    "rate_limit": AlertKind(
        "Rate limit reached",
        "low",
        lambda detail: f"requests were rejected over a limit{_from(detail)}",
        "Raise the limit if these were genuine clients.",
    ),
    "new_endpoint": AlertKind(
        "New endpoint",
        "low",
        lambda _: "it was answered for the first time",
        "Check that it was meant to be reachable.",
    ),
    "endpoints_found": AlertKind(
        "Endpoints of a new host",
        "low",
        lambda detail: f"{_endpoints(detail['count'])} found on the first day of {detail.get('host')}",
        "Look through the list; from the second day on each new endpoint has an alert of its own.",
    ),
}


def severity_of(kind: str) -> str:
    """The usual severity of a kind."""
    return KINDS[kind].severity


def title_of(kind: str) -> str:
    """What a kind is called; one that this version does not know by its name."""
    known = KINDS.get(kind)
    return kind.replace("_", " ").capitalize() if known is None else known.words


def reason_of(kind: str, detail: Detail, count: int) -> str:
    """Why an alert was raised; of a kind that this version does not know, its name."""
    known = KINDS.get(kind)
    return kind if known is None else known.reason({**detail, "count": count})
