"""The `metlo-otel` command."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from metlo_otel.core.version import __version__

if TYPE_CHECKING:
    from metlo_otel.collector.store import Store

_EXTRAS = {
    "sqlalchemy": "collector",
    "starlette": "collector",
    "uvicorn": "collector",
    "h11": "collector",
    "anyio": "collector",
    "rich": "collector",
    "flask": "demo",
}


class CommandError(Exception):
    """The command cannot do what was asked; the text is for the user."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with `arguments` (default: the process's). Returns the exit code: 2 for a wrong question."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options)
        return code
    except CommandError as problem:
        print(f"metlo-otel {options.command}: {problem}", file=sys.stderr)
    except ModuleNotFoundError as problem:
        extra = _EXTRAS.get((problem.name or "").partition(".")[0])
        if extra is None:
            raise
        needed = f"needs {problem.name}, which is not installed: pip install 'metlo-otel[{extra}]'"
        print(f"metlo-otel {options.command}: {needed}", file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="metlo-otel", description="API security for Python web apps.")
    parser.add_argument("--version", action="version", version=f"metlo-otel {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_collector(commands)
    _add_demo(commands)
    return parser


def _add_collector(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    about = "take in the traces of Metlo agents, keep them and serve their configuration"
    command = commands.add_parser("collector", help=about, description=about.capitalize() + ".")
    command.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    command.add_argument("--port", type=_port, default=8081, help="port to listen on, 0: any (default: %(default)s)")
    command.add_argument("--db", default="metlo.db", help="file of the database (default: %(default)s)")
    key = command.add_mutually_exclusive_group()
    key.add_argument("--api-key", help="key of the agents (default: METLO_KEY, else one is made and printed once)")
    key.add_argument("--new-key", action="store_true", help="make a new key, print it and forget the one made before")
    command.add_argument(
        "--full-capture",
        action=argparse.BooleanOptionalAction,
        help="have agents send parameters, headers and bodies of all requests; remembered (at first: no)",
    )
    command.set_defaults(run=_run_collector)


def _add_demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    about = "a collector, a sample shop and visitors on this machine, and a table of what is captured"
    command = commands.add_parser("demo", help=about, description=about.capitalize() + ".")
    command.add_argument("--once", action="store_true", help="end once the first requests were captured")
    command.set_defaults(run=_run_demo)


def _port(text: str) -> int:
    if text.isascii() and text.isdecimal() and int(text) <= 65535:
        return int(text)
    raise argparse.ArgumentTypeError(f"a port from 0 to 65535 is expected, not {text!r}")


def _run_collector(options: argparse.Namespace) -> int:
    from metlo_otel.collector.database import DatabaseError
    from metlo_otel.collector.server import ListenError, is_loopback, listen, serve, url_of
    from metlo_otel.collector.store import Store

    given = _given_key(options)
    if given is None and not is_loopback(options.host):
        raise CommandError(
            f"--host {options.host} can be reached by others: give the agents' key with --api-key or METLO_KEY"
        )
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        with listen(options.host, options.port) as listening:
            store = Store(options.db)
            try:
                _prepare(store, options, given)
                print(f"Collector on {url_of(listening)}, data in {options.db}. Ctrl-C ends it.", flush=True)
                serve(store, listening)
            finally:
                store.close()
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


def _prepare(store: Store, options: argparse.Namespace, given: str | None) -> None:
    from metlo_otel.collector.keys import list_keys

    made = store.ensure_key(given, new=options.new_key)
    if options.full_capture is not None:
        store.configure("globalFullTraceCapture", options.full_capture)
    if made:
        print(f"API key, shown this once: {made}")
    else:
        valid = ", ".join(f"{key.hint}… ({key.name})" for key in store.read(list_keys))
        print(f"API keys in force: {valid}")


def _run_demo(options: argparse.Namespace) -> int:
    if find_spec("flask") is None:  # it is the shop's process that imports it
        raise ModuleNotFoundError("No module named 'flask'", name="flask")
    from metlo_otel.demo.run import run

    return run(once=options.once)


if __name__ == "__main__":
    sys.exit(main())
