"""`metlo-otel collector`."""

from __future__ import annotations

import argparse
import contextlib
import gc
import logging
import os
import re
from typing import TYPE_CHECKING

from metlo_otel.cli.asking import CommandError, Commands, add_command, add_database, port
from metlo_otel.cli.entrance import add_entrance, provider_of

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from metlo_otel.collector.dashboard.access import Access
    from metlo_otel.collector.store import Store

_UNITS = {"": 1, "K": 1_000, "M": 1_000_000, "G": 1_000_000_000}


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Know the command."""
    about = "take in the traces of Metlo agents, keep them, show them and serve the agents' configuration"
    command = add_command(commands, "collector", about)
    command.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    command.add_argument("--port", type=port, default=8081, help="port to listen on, 0: any (default: %(default)s)")
    command.add_argument(
        "--backend-port", type=port, help="another port for the same, such as 8000, where original agents ask"
    )
    command.add_argument(
        "--otlp-port", type=port, help="another port for the same, such as 4318, where OTLP/HTTP exporters send spans"
    )
    command.add_argument(
        "--otlp-grpc-port", type=port, help="port to take spans on by OTLP/gRPC, such as 4317 (default: none)"
    )
    add_database(command)
    key = command.add_mutually_exclusive_group()
    key.add_argument("--api-key", help="key of the agents (default: METLO_KEY, else one is made and printed once)")
    key.add_argument("--new-key", action="store_true", help="make a new key, print it and forget the one made before")
    command.add_argument(
        "--read-key",
        help="key for reading what is stored over HTTP, below /api/v1 (default: METLO_READ_KEY, else none)",
    )
    command.add_argument(
        "--password",
        help="of the dashboard (default: METLO_DASHBOARD_PASSWORD, else one is made and printed once)",
    )
    add_entrance(command)
    command.add_argument(
        "--full-capture",
        action=argparse.BooleanOptionalAction,
        help="have agents send parameters, headers and bodies of all requests; remembered (at first: no)",
    )
    command.add_argument(
        "--forward",
        action="append",
        default=[],
        metavar="URL",
        help="where findings go too: syslog://HOST:514, syslog+tls://HOST:6514 or file:///PATH, each with "
        "?format=cef, ocsf or json; may be given several times",
    )
    _add_limits(command)
    command.set_defaults(run=_run)


def _add_limits(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--keep", type=_count, default=100, metavar="N", help="traces kept of each endpoint (default: %(default)s)"
    )
    command.add_argument(
        "--keep-days", type=_count, default=14, metavar="DAYS", help="age at which traces go (default: %(default)s)"
    )
    command.add_argument(
        "--max-size",
        type=_size,
        default=1_900_000_000,
        metavar="SIZE",
        help="of the database, such as 500M or 10G; the oldest traces go first (default: 1.9G)",
    )


def _count(text: str) -> int:
    if text.isascii() and text.isdecimal() and 1 <= int(text) <= 100_000:
        return int(text)
    raise argparse.ArgumentTypeError(f"a number from 1 to 100000 is expected, not {text!r}")


def _size(text: str) -> int:
    found = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?)([KMG]?)B?", text.strip().upper(), re.ASCII)
    size = float(found[1]) * _UNITS[found[2]] if found else 0
    if size >= 10_000_000:
        return int(size)
    raise argparse.ArgumentTypeError(f"a size of at least 10M is expected, such as 500M or 10G, not {text!r}")


def _run(options: argparse.Namespace) -> int:
    from metlo_otel.collector.database import DatabaseError
    from metlo_otel.collector.server import ListenError, is_loopback, listen

    key, password = _given_key(options), options.password or os.environ.get("METLO_DASHBOARD_PASSWORD") or None
    if not is_loopback(options.host):
        _require(options.host, key, options.read_key or os.environ.get("METLO_READ_KEY"))
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        with contextlib.ExitStack() as stack:
            ports = [options.port, options.backend_port, options.otlp_port]
            listening = [stack.enter_context(listen(options.host, each)) for each in ports if each is not None]
            _serve(options, listening, key, password, is_loopback(options.host))
    except (DatabaseError, ListenError) as problem:
        raise CommandError(str(problem)) from problem
    return 0


def _given_key(options: argparse.Namespace) -> str | None:
    from metlo_otel.collector.keys import check_key

    given = options.api_key if options.api_key is not None or options.new_key else os.environ.get("METLO_KEY") or None
    try:
        return None if given is None else check_key(given)
    except ValueError as problem:
        raise CommandError(str(problem)) from problem


def _require(host: str, key: str | None, read_key: str | None) -> None:
    from metlo_otel.collector.keys import SHORTEST

    if key is None:
        raise CommandError(f"--host {host} can be reached by others: give the agents' key with --api-key or METLO_KEY")
    for name, given in (("--api-key", key), ("--read-key", read_key)):
        if given is not None and len(given.strip()) < SHORTEST:
            needed = f"a key has at least {SHORTEST} characters there, as from `openssl rand -hex 32`"
            raise CommandError(f"{name}: --host {host} can be reached by others, {needed}")


def _serve(
    options: argparse.Namespace, listening: list[socket.socket], key: str | None, password: str | None, alone: bool
) -> None:
    from metlo_otel.collector.accounts import are_alone
    from metlo_otel.collector.dashboard.access import Access
    from metlo_otel.collector.dashboard.app import Options
    from metlo_otel.collector.server import make_server, serve, url_of
    from metlo_otel.collector.siem.destinations import DestinationError, read_destination
    from metlo_otel.collector.siem.forwarding import forwarding
    from metlo_otel.collector.store import Store
    from metlo_otel.collector.upkeep import Limits

    provider = provider_of(options)
    try:
        destinations = [read_destination(url) for url in options.forward]
    except DestinationError as problem:
        raise CommandError(f"--forward {problem}") from None
    store = Store(
        options.db, Limits(traces_per_endpoint=options.keep, trace_days=options.keep_days, size=options.max_size)
    )
    try:
        if not alone and password is None and not store.read(are_alone):
            given = "give the dashboard's password with --password or METLO_DASHBOARD_PASSWORD, or make an admin"
            raise CommandError(
                f"--host {options.host} can be reached by others: {given} with `metlo-otel users add NAME --role admin`"
            )
        store.public = options.url or (url_of(listening[0]) if alone else "")
        access = Access(store)
        told = _prepare(store, options, key)
        urls = " and ".join(url_of(each) for each in listening)
        told += [
            f"Collector on {urls}, data in {_shown(options.db)}. Ctrl-C ends it.",
            f"Dashboard on {options.url or url_of(listening[0])}/dashboard/{_password(access, password)}",
            *(["Accounts open it; --password is not looked at."] if password and store.read(are_alone) else []),
        ]
        server = make_server(store, access, Options(options.url, provider), options.trusted_proxy)
        server.on_ready = lambda: print("\n".join(told), flush=True)
        gc.freeze()  # what is loaded stays, and what batches are made of goes by itself: no need to look often
        gc.set_threshold(100_000, 20, 50)
        with forwarding(store, destinations), _otlp_grpc(store, options):
            serve(server, *listening)
    finally:
        store.close()


@contextlib.contextmanager
def _otlp_grpc(store: Store, options: argparse.Namespace) -> Iterator[None]:
    """OTLP/gRPC is served within the block, where it was asked for."""
    if options.otlp_grpc_port is None:
        yield
        return
    try:
        from metlo_otel.collector.otlp.grpc_server import grpc_server
    except ImportError:
        raise CommandError("--otlp-grpc-port needs an extra: pip install 'metlo-otel[otlp]'") from None
    try:
        with grpc_server(store, options.host, options.otlp_grpc_port) as number:
            print(f"OTLP/gRPC on {options.host}:{number}", flush=True)
            yield
    except OSError as problem:
        raise CommandError(str(problem)) from problem


def _shown(database: str) -> str:
    """Where the data is, without the password in its URL."""
    from sqlalchemy import make_url

    return make_url(database).render_as_string(hide_password=True) if "://" in database else database


def _prepare(store: Store, options: argparse.Namespace, given: str | None) -> list[str]:
    """Set what was given; what to tell of the keys."""
    from metlo_otel.collector.keys import list_keys

    made = store.ensure_key(given, new=options.new_key)
    if reading := options.read_key or os.environ.get("METLO_READ_KEY"):
        _let_read(store, reading)
    if options.full_capture is not None:
        store.configure("globalFullTraceCapture", options.full_capture)
    if made:
        return [f"API key, shown this once: {made}"]
    valid = ", ".join(f"{key.hint}… ({key.name})" for key in store.read(list_keys))
    return [f"API keys in force: {valid}"]


def _let_read(store: Store, key: str) -> None:
    try:
        store.ensure_read_key(key)
    except ValueError as problem:
        raise CommandError(f"--read-key: {problem}") from None


def _password(access: Access, given: str | None) -> str:
    try:
        made = access.ensure_password(given)
    except ValueError as problem:
        raise CommandError(f"--password: {problem}") from None
    return f"; password, shown this once: {made}" if made else ""
