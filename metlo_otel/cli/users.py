"""`metlo-otel users`: accounts of the dashboard and their sessions, on the collector's database."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial

from metlo_otel.cli.asking import CommandError, Commands, add_command, add_database, add_json, opened
from metlo_otel.cli.tables import clean, moment, write_json, write_table

_WHO = "command line"
_ROLES = ("viewer", "analyst", "admin")  # named here, where nothing of the collector is imported for a help text
_COLUMNS = ("Name", "Role", "Logs in", "Enabled", "Last login")
_SESSIONS = ("Id", "Name", "From", "Browser", "Since", "Last seen")


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Know the command."""
    users = add_command(commands, "users", "make and change accounts of the dashboard, list and end sessions")
    kinds: Commands[argparse.ArgumentParser] = users.add_subparsers(dest="what", required=True, metavar="WHAT")

    def command(name: str, about: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        found = add_command(kinds, name, about)
        add_database(found)
        found.set_defaults(run=run)
        return found

    add_json(command("list", "list the accounts", _list))
    adding = command("add", "make an account; its password is made and printed, this once", _add)
    adding.add_argument("name")
    adding.add_argument("--role", choices=_ROLES, default="viewer", help="(default: %(default)s)")
    way = adding.add_mutually_exclusive_group()
    way.add_argument("--oidc", action="store_true", help="no password: NAME is the address that the provider verified")
    way.add_argument("--password-stdin", action="store_true", help="read the password from the standard input")
    changing = command("role", "give an account another role", _role)
    changing.add_argument("name")
    changing.add_argument("role", choices=_ROLES)
    password = command(
        "password", "make another password and print it, this once; the account's sessions end", _password
    )
    password.add_argument("name")
    password.add_argument("--password-stdin", action="store_true", help="read it from the standard input instead")
    for name, about in (("disable", "let nobody in with an account"), ("enable", "let them in again")):
        command(name, about, _set_enabled).add_argument("name")
    command("rm", "remove an account, its sessions and its tokens", _remove).add_argument("name")
    add_json(command("sessions", "list who is logged in", _sessions))
    command("end", "end a session", _end).add_argument("id", type=int, help="as `users sessions` lists it")


def _list(options: argparse.Namespace) -> int:
    from metlo_otel.collector.accounts import User, list_users

    def way(user: User) -> str:
        return "OpenID Connect" if user.password is None else "password"

    with opened(options) as store:
        users = store.read(list_users)
    if options.json:
        for each in users:
            document = {"name": each.name, "role": each.role, "way": way(each), "enabled": each.enabled}
            write_json({**document, "made": each.made, "lastLogin": each.last_login})
        return 0
    rows = [
        (each.name, each.role, way(each), "yes" if each.enabled else "no", moment(each.last_login)) for each in users
    ]
    write_table(_COLUMNS, rows, "There are no accounts: the dashboard has one password for everybody.")
    return 0


def _add(options: argparse.Namespace) -> int:
    from metlo_otel.collector.accounts import add_user

    password, hashed = (None, None) if options.oidc else _new_password(options)
    with opened(options, make=True) as store:
        work = partial(add_user, name=options.name, role=options.role, who=_WHO, password=hashed)
        try:
            store.change(work).result()
        except ValueError as problem:
            raise CommandError(str(problem)) from problem
    print(f"{clean(options.name)} is {options.role}{_told(password, options)}")
    return 0


def _new_password(options: argparse.Namespace) -> tuple[str, str]:
    from metlo_otel.collector.dashboard.passwords import check_password, hash_password, make_password

    try:
        password = sys.stdin.readline().rstrip("\n") if options.password_stdin else make_password()
        return password, hash_password(check_password(password))
    except ValueError as problem:
        raise CommandError(str(problem)) from None


def _told(password: str | None, options: argparse.Namespace) -> str:
    shown = password is not None and not options.password_stdin
    return f"; the password, shown this once: {password}" if shown else "."


def _role(options: argparse.Namespace) -> int:
    from metlo_otel.collector.accounts import set_role

    _change(options, partial(set_role, name=options.name, role=options.role, who=_WHO))
    print(f"{clean(options.name)} is {options.role}.")
    return 0


def _password(options: argparse.Namespace) -> int:
    from metlo_otel.collector.accounts import set_password

    password, hashed = _new_password(options)
    _change(options, partial(set_password, name=options.name, password=hashed, who=_WHO))
    print(f"{clean(options.name)} has another password{_told(password, options)}")
    return 0


def _set_enabled(options: argparse.Namespace) -> int:
    from metlo_otel.collector.accounts import set_enabled

    enabled = options.what == "enable"
    _change(options, partial(set_enabled, name=options.name, enabled=enabled, who=_WHO))
    print(f"{clean(options.name)} is {'enabled' if enabled else 'disabled'}.")
    return 0


def _remove(options: argparse.Namespace) -> int:
    from metlo_otel.collector.accounts import remove_user

    _change(options, partial(remove_user, name=options.name, who=_WHO))
    print(f"{clean(options.name)} is removed.")
    return 0


def _change(options: argparse.Namespace, work: Callable[..., None]) -> None:
    with opened(options) as store:
        try:
            store.change(work).result()
        except ValueError as problem:
            raise CommandError(str(problem)) from problem


def _sessions(options: argparse.Namespace) -> int:
    from metlo_otel.collector.dashboard.sessions import list_sessions

    with opened(options) as store:
        sessions = store.read(list_sessions)
    if options.json:
        for each in sessions:
            named = {"id": each.id, "name": each.name, "role": each.role, "way": each.way, "address": each.address}
            write_json({**named, "browser": each.browser, "made": each.made, "seen": each.seen, "ends": each.ends})
        return 0
    rows = [(each.id, each.name, each.address, each.browser, moment(each.made), moment(each.seen)) for each in sessions]
    write_table(_SESSIONS, rows, "Nobody is logged in.")
    return 0


def _end(options: argparse.Namespace) -> int:
    from metlo_otel.collector.dashboard.sessions import end_session

    with opened(options) as store:
        if not store.change(partial(end_session, number=options.id)).result():
            raise CommandError(f"there is no session {options.id}")
    print("It has ended.")
    return 0
