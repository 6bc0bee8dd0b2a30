"""What the store's short names are called on pages."""

from __future__ import annotations

from metlo_otel.collector.alert_kinds import KINDS

ALERTS = {name: kind.words for name, kind in KINDS.items()}
ADVICE = {name: kind.advice for name, kind in KINDS.items()}
FLAGS = {
    "public": "reached from the Internet",
    "authenticated": "answers who is authenticated",
    "open": "answers without authentication",
    "basic": "basic authentication",
    "http": "without TLS",
    "https": "with TLS",
    "attacked": "was attacked",
}
BAD_FLAGS = frozenset(("public", "open", "basic", "http", "attacked"))
ROLES = {
    "viewer": "sees everything but settings, users and the audit log; changes nothing",
    "analyst": "also changes rules, alerts and specifications",
    "admin": "also changes settings, keys, users and what content agents send",
}
SCOPES = {
    "traces": "traces, with their content",
    "endpoints": "endpoints",
    "attacks": "attacks",
    "actors": "actors",
    "alerts": "alerts",
    "metrics": "metrics",
}
DURATIONS = {"1h": "for 1 hour", "24h": "for 24 hours", "ever": "for ever"}
CHANGES = {
    "rules.watch": "had all rules only watched, or enforced again",
    "login": "logged in",
    "login.failed": "gave a wrong password",
    "logout": "logged out",
    "login.refused": "was refused after logging in at the provider",
    "password": "set another password",
    "users.add": "made an account",
    "users.role": "gave an account another role",
    "users.enabled": "enabled an account",
    "users.disabled": "disabled an account",
    "users.password": "set the password of an account",
    "users.remove": "removed an account",
    "sessions.end": "ended a session",
    "rules.put": "stored a rule",
    "rules.change": "changed a rule",
    "rules.remove": "removed a rule",
    "hosts.own": "said that hosts are ours",
    "hosts.foreign": "said that hosts are not ours",
    "specs.put": "stored a specification",
    "specs.remove": "removed a specification",
    "keys.add": "made an API key",
    "keys.revoke": "revoked an API key",
    "configure": "configured agents",
    "capture": "changed the capture of an endpoint",
    "webhooks": "changed the webhooks",
    "destinations.add": "added a destination of alerts",
    "destinations.change": "changed a destination of alerts",
    "destinations.remove": "removed a destination of alerts",
    "tracing": "changed the link to the tracing",
    "alerts.open": "opened alerts again",
    "alerts.resolved": "resolved alerts",
    "alerts.ignored": "ignored alerts",
    "alerts.snoozed": "snoozed alerts",
    "alerts.assign": "said who looks after an alert",
    "alerts.comment": "commented on an alert",
    "alerts.mute": "had a kind of alerts ignored somewhere",
    "alerts.unmute": "had a kind of alerts raised again",
    "views.save": "saved a search",
    "views.remove": "removed a saved search",
}
