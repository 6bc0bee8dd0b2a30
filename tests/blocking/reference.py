"""A naive evaluator of rules: one by one, condition by condition, as the contract words it."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from urllib.parse import unquote_plus

from metlo_otel.blocking.rules import Condition, Group, Rule
from metlo_otel.blocking.view import Client
from metlo_otel.core.exchange import Exchange
from metlo_otel.reading.plausible import Plausible
from metlo_otel.reading.record import request_message


def matching(rules: Sequence[Rule], made: Exchange, who: Client, now: float) -> list[Rule]:
    return [rule for rule in rules if _matches(rule, made, who, now)]


def _matches(rule: Rule, made: Exchange, who: Client, now: float) -> bool:
    if rule.ends is not None and now * 1000 >= rule.ends:
        return False
    return all(_group(group, made, who) for group in rule.groups)


def _group(group: Group, made: Exchange, who: Client) -> bool:
    results = [_condition(condition, made, who) for condition in group.conditions]
    return all(results) if group.rule == "all" else any(results)


def _condition(condition: Condition, made: Exchange, who: Client) -> bool:
    if condition.field == "request_body":
        return _body(condition, made)
    if condition.field == "path":
        return any(_spelling(condition, paths) for paths in made.request.paths())
    return any(_holds(condition, value) for value in _values(condition, made, who))


def _spelling(condition: Condition, paths: Sequence[str]) -> bool:
    """One spelling of the path, with and without the mount point: a negation holds where neither matches."""
    operator, value = condition.operator, str(condition.value)
    if operator.startswith("nt_"):
        return not any(_plain("path", operator[3:], value, path) for path in paths)
    return any(_plain("path", operator, value, path) for path in paths)


def _body(condition: Condition, made: Exchange) -> bool:
    """A body has many readings: any may hold what is asked for, and none what must not be there."""
    read = list(Plausible("reqBody", request_message(made), 65_536).values())
    results = [_holds(condition, text) for text in read]
    return bool(results) and all(results) if condition.operator.startswith("nt_") else any(results)


def _values(condition: Condition, made: Exchange, who: Client) -> list[str]:
    request = made.request
    if condition.field == "request_header":
        return [value for name, value in request.headers() if name.lower() == str(condition.key).lower()]
    if condition.field == "request_parameter":
        pairs = [pair.partition("=") for pair in request.query.split("&") if pair]
        return [unquote_plus(value) for name, _, value in pairs if unquote_plus(name) == condition.key]
    single = {
        "method": request.method,
        "ip_address": who.ip,
        "user": who.user,
        "unique_session_key": who.session,
    }[condition.field]
    return [single] if single else []


def _holds(condition: Condition, text: str) -> bool:
    value, operator = str(condition.value), condition.operator
    if operator.startswith("nt_"):
        return not _plain(condition.field, operator[3:], value, text)
    return _plain(condition.field, operator, value, text)


def _plain(field: str, operator: str, value: str, text: str) -> bool:
    if field == "ip_address" and operator == "eq":
        address = ip_address(text)
        span = ip_network(value, strict=False)
        return address.version == span.version and address in span
    if field == "path":
        if operator in ("eq", "endswith"):
            text, value = text.rstrip("/"), value.rstrip("/")
        else:
            text = text.rstrip("/") + "/"
    if operator == "eq":
        return text == value
    if operator == "contains":
        return value in text
    return text.startswith(value) if operator == "startswith" else text.endswith(value)
