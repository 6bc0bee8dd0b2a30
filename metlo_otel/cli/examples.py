"""Examples of each command, which its `--help` and the reference of the docs end with."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

# By command: what one would write, and what for.
EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "collector": (
        ("metlo-otel collector", "on this machine alone, with a key and a password that are made and printed"),
        ("metlo-otel collector --full-capture", "with parameters, headers and bodies of all requests"),
        (
            "metlo-otel collector --db postgresql+psycopg://metlo@db/metlo --max-size 50G",
            "on PostgreSQL, with more room",
        ),
        ("metlo-otel collector --otlp-port 4318 --otlp-grpc-port 4317", "for services of any OpenTelemetry SDK too"),
    ),
    "demo": (
        ("metlo-otel demo", "until Ctrl-C"),
        ("metlo-otel demo --once", "for scripts: ends when the first requests have arrived"),
    ),
    "endpoints": (
        ("metlo-otel endpoints", "the riskiest first"),
        ("metlo-otel endpoints --host shop.example --sort p95", "of one host, the slowest first"),
        ("metlo-otel endpoints --class Email --flag open --json", "who gives emails to everybody, for a program"),
    ),
    "traces": (
        ("metlo-otel traces --follow", "the latest, and new ones as they come"),
        ("metlo-otel traces --status 5xx --path /api/checkout --since 2026-11-30", "what failed there since a day"),
    ),
    "attacks": (
        ("metlo-otel attacks --category SQLI --since 2h", "of one kind, of the last two hours"),
        ("metlo-otel attacks --source 203.0.113.9 --json", "of one address, for a program"),
    ),
    "rules": (
        ("metlo-otel rules list", "what is in force"),
        ("metlo-otel rules watch on", "nothing is blocked or limited until `watch off`"),
    ),
    "rules list": (("metlo-otel rules list --json", "with everything that each rule says"),),
    "rules add": (
        ("metlo-otel rules add rules.yml", "first tells what enforced rules would have done"),
        ("metlo-otel rules add rules.yml --yes", "then enforces them"),
        ("metlo-otel rules add rules.yml --off", "stores them for later"),
    ),
    "rules rm": (("metlo-otel rules rm 3f2a", "the one whose id begins so"),),
    "rules on": (("metlo-otel rules on 3f2a --yes", "the one whose id begins so"),),
    "rules off": (("metlo-otel rules off 3f2a", "it stays stored"),),
    "rules watch": (("metlo-otel rules watch off", "each rule does what it says again"),),
    "rules check": (("metlo-otel rules check rules.yml", "ends with 1 where there is a mistake"),),
    "openapi": (
        ("metlo-otel openapi", "which hosts there are"),
        ("metlo-otel openapi shop.example", "the description of one, as YAML"),
        ("metlo-otel openapi shop.example --diff openapi.yaml", "how the app differs; ends with 1 where it does"),
    ),
    "import": (("metlo-otel import recorded.har", "what a browser recorded"),),
    "export": (
        ("metlo-otel export -o all.har", "everything, for a browser or a proxy"),
        ("metlo-otel export --host shop.example --json", "as it was sent, one trace a line"),
    ),
    "init": (("metlo-otel init", "shows what it would write, and asks"),),
    "backup": (("metlo-otel backup /var/backups/metlo-1.db", "beside a collector that runs"),),
    "restore": (("metlo-otel restore /var/backups/metlo-1.db --replace", "once the collector has ended"),),
    "db": (("metlo-otel db check", "changes nothing"),),
    "db check": (("metlo-otel db check", "ends with 1 where there is something to do"),),
    "db upgrade": (("metlo-otel db upgrade --backup before.db", "with a copy first"),),
    "users": (("metlo-otel users add anna --role admin", "the first account, which replaces the shared password"),),
    "users list": (("metlo-otel users list", "with their roles"),),
    "users add": (("metlo-otel users add ben --role analyst", "the password is printed, this once"),),
    "users role": (("metlo-otel users role ben viewer", "from the next request on"),),
    "users password": (("metlo-otel users password ben", "for who has lost theirs"),),
    "users disable": (("metlo-otel users disable ben", "the next request is refused"),),
    "users enable": (("metlo-otel users enable ben", "with the password of before"),),
    "users rm": (("metlo-otel users rm ben", "for good"),),
    "users sessions": (("metlo-otel users sessions", "who is logged in"),),
    "users end": (("metlo-otel users end 12", "a number that `users sessions` lists"),),
    "check": (
        ("metlo-otel check --host http://127.0.0.1:8081 --api-key KEY", "the collector and its key"),
        ("metlo-otel check --send shop:app", "through an app, all the way"),
    ),
}


def walk(parser: argparse.ArgumentParser, name: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Each command below a parser, those below it after it, with its name: `rules`, `rules add`, …"""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for called, command in action.choices.items():
                full = f"{name} {called}".strip()
                yield full, command
                yield from walk(command, full)


def add_examples(parser: argparse.ArgumentParser) -> None:
    """Have each command's help end with its examples."""
    for name, command in walk(parser):
        lines = [f"  {line}\n      {what}" for line, what in EXAMPLES.get(name, ())]
        command.epilog = "\n".join(["examples:", *lines]) if lines else None
        command.formatter_class = argparse.RawDescriptionHelpFormatter
