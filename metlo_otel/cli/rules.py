"""`metlo-otel rules`: what agents block, limit and tag."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metlo_otel.cli.asking import CommandError, Commands, add_command, add_database, add_json, opened
from metlo_otel.cli.tables import clean, moment, write_json, write_table

if TYPE_CHECKING:
    from metlo_otel.collector.rules import StoredRule
    from metlo_otel.collector.store import Store

_COLUMNS = ("Id", "Name", "Kind", "Mode", "In force", "Until")
_WHO = "command line"
_TRIED = 10  # rules that are tried on stored requests, which takes up to a second each
_SWITCHES = {"on": "put rules in force", "off": "have agents stop applying rules, which stay stored"}


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Know the command."""
    command = add_command(commands, "rules", "the rules that the collector gives to agents")
    actions = command.add_subparsers(dest="action", required=True, metavar="ACTION")
    listed = add_command(actions, "list", "all rules, in the order in which they are tried")
    listed.set_defaults(run=_list)
    added = add_command(actions, "add", "add the rules of a file; one with the id of a stored rule replaces it")
    _add_file(added)
    added.add_argument("--off", action="store_true", help="store them, but do not put them in force yet")
    _add_yes(added)
    added.set_defaults(run=_add)
    removed = add_command(actions, "rm", "remove rules")
    removed.add_argument("ids", nargs="+", metavar="ID", help="as `rules list` shows it; its beginning is enough")
    removed.set_defaults(run=_remove)
    switched = [_add_switch(actions, name, words) for name, words in _SWITCHES.items()]
    watched = add_command(actions, "watch", "have all rules only watched (on), or enforced as they say (off)")
    watched.add_argument("state", choices=("on", "off"), help="on: no agent blocks or limits anything by a rule")
    watched.set_defaults(run=_watch)
    for each in (listed, added, removed, *switched, watched):
        add_database(each)
    checked = add_command(actions, "check", "tell every mistake in a file of rules, with its line")
    _add_file(checked)
    checked.set_defaults(run=_check)
    for each in (listed, added, removed, *switched):
        add_json(each)
    add_json(checked, "one object")


def _add_switch(actions: Commands[argparse.ArgumentParser], name: str, words: str) -> argparse.ArgumentParser:
    command = add_command(actions, name, words)
    command.add_argument("ids", nargs="+", metavar="ID", help="as `rules list` shows it; its beginning is enough")
    if name == "on":
        _add_yes(command)
    command.set_defaults(run=partial(_switch, enabled=name == "on"))
    return command


def _add_yes(command: argparse.ArgumentParser) -> None:
    command.add_argument("--yes", action="store_true", help="enforce rules at once, without first telling what they do")


def _add_file(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", metavar="FILE", help="JSON, or YAML; - is the standard input, in JSON or YAML")


def _list(options: argparse.Namespace) -> int:
    from metlo_otel.collector.rules import list_rules

    with opened(options) as store:
        _show(options, store.read(list_rules), "There are no rules.")
    return 0


def _add(options: argparse.Namespace) -> int:
    from metlo_otel.blocking.local_rules import check_rules
    from metlo_otel.blocking.located import load_json, load_yaml
    from metlo_otel.collector.actions import put_rule

    text, name = _read(options.file)
    if problems := check_rules(text, name):
        raise CommandError("nothing is stored, for there are mistakes:\n" + "\n".join(map(str, problems)))
    document = (load_json if name.lower().endswith(".json") else load_yaml)(text).value
    items = document["rules"] if isinstance(document, dict) else document
    with opened(options) as store:
        if not (options.yes or options.off):
            _ask(store, items or (), "stored", "--off or mode: monitor")
        try:
            stored = store.change(
                lambda connection: [put_rule(connection, item, _WHO, enabled=not options.off) for item in items or ()]
            ).result()
        except ValueError as problem:
            raise CommandError(f"nothing is stored: {problem}") from None
    _show(options, stored, "The file holds no rules.")
    return 0


def _remove(options: argparse.Namespace) -> int:
    from metlo_otel.collector.actions import remove_rule
    from metlo_otel.collector.rules import list_rules

    with opened(options) as store:
        known = store.read(list_rules)
        found = [_named(known, name) for name in options.ids]
        for rule in found:
            store.change(partial(remove_rule, rule=rule.id, who=_WHO)).result()
    for rule in found:
        if options.json:
            write_json({**_document(rule), "enabled": False, "removed": True})
        else:
            print(f"Removed: {clean(rule.id)} ({clean(rule.name)}).")
    return 0


def _switch(options: argparse.Namespace, enabled: bool) -> int:
    from metlo_otel.collector.actions import change_rule
    from metlo_otel.collector.rules import list_rules

    with opened(options) as store:
        known = store.read(list_rules)
        found = [_named(known, name) for name in options.ids]
        if enabled and not options.yes:
            _ask(store, [rule.document for rule in found], "changed", "mode: monitor")
        try:
            changed = store.change(
                lambda connection: [change_rule(connection, rule.id, _WHO, enabled=enabled) for rule in found]
            ).result()
        except ValueError as problem:
            raise CommandError(f"nothing is changed: {problem}") from None
    _show(options, [rule for rule in changed if rule is not None], "")
    return 0


def _ask(store: Store, items: Iterable[Any], what: str, other: str) -> None:
    """Raise CommandError where rules would be enforced at once, with what they would have done to stored requests."""
    from metlo_otel.collector.dashboard.dry_run import try_rule
    from metlo_otel.collector.rules import is_enforced, wire_form

    try:
        enforced = [document for document in map(wire_form, items) if is_enforced(document)]
    except ValueError as problem:
        raise CommandError(f"nothing is {what}: {problem}") from None
    told = [
        f"{clean(document['name'] or document['uuid'])}: {store.read(partial(try_rule, item=document)).sentence}"
        for document in enforced[:_TRIED]
    ]
    if len(enforced) > _TRIED:
        told.append(f"and {len(enforced) - _TRIED} more")
    if told:
        listed = "\n".join(told)
        raise CommandError(
            f"nothing is {what}, for these would be enforced; --yes does it, {other} does not:\n{listed}"
        )


def _watch(options: argparse.Namespace) -> int:
    from metlo_otel.collector.actions import set_watching

    watching = options.state == "on"
    with opened(options) as store:
        store.change(partial(set_watching, watching=watching, who=_WHO)).result()
    print("All rules only watch." if watching else "Rules do what each of them says.")
    return 0


def _named(rules: list[StoredRule], name: str) -> StoredRule:
    exact = [rule for rule in rules if rule.id == name]
    found = exact or [rule for rule in rules if rule.id.startswith(name)]
    if len(found) == 1:
        return found[0]
    problem = "there is no rule" if not found else f"there are {len(found)} rules"
    raise CommandError(f"nothing is changed: {problem} whose id begins with {name!r}")


def _check(options: argparse.Namespace) -> int:
    from metlo_otel.blocking.local_rules import load_rules

    text, name = _read(options.file)
    found, problems = load_rules(text, name)
    if options.json:
        listed = [
            {"file": each.file, "line": each.line, "field": each.field, "message": each.message} for each in problems
        ]
        write_json({"rules": len(found), "problems": listed})
    else:
        for problem in problems:
            print(problem)
        print(f"{len(found)} right, {len(problems)} {'mistake' if len(problems) == 1 else 'mistakes'}")
    return 1 if problems else 0


def _read(file: str) -> tuple[str, str]:
    """The text and what it is called."""
    try:
        return (sys.stdin.read(), "standard input") if file == "-" else (Path(file).read_text("utf-8"), file)
    except (OSError, UnicodeDecodeError) as problem:
        raise CommandError(f"{file} cannot be read: {problem}") from None


def _show(options: argparse.Namespace, rules: list[StoredRule], empty: str) -> None:
    if options.json:
        for rule in rules:
            write_json(_document(rule))
    else:
        write_table(_COLUMNS, [_row(rule) for rule in rules], empty)


def _document(rule: StoredRule) -> dict[str, Any]:
    return {"id": rule.id, "name": rule.name, "enabled": rule.enabled, "mode": rule.mode, "rule": dict(rule.document)}


def _row(rule: StoredRule) -> tuple[str, ...]:
    in_force = "yes" if rule.is_on else "ended" if rule.enabled else "no"
    until = "for ever" if rule.ends is None else moment(int(rule.ends))
    return rule.id, rule.name, rule.kind, rule.mode, in_force, until
