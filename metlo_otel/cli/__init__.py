"""The `metlo-otel` command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from metlo_otel.cli.asking import CommandError
from metlo_otel.cli.check import add as add_check
from metlo_otel.cli.collector import add as add_collector
from metlo_otel.cli.database import add as add_databases
from metlo_otel.cli.demo import add as add_demo
from metlo_otel.cli.examples import add_examples
from metlo_otel.cli.init import add as add_init
from metlo_otel.cli.lists import add as add_lists
from metlo_otel.cli.openapi import add as add_openapi
from metlo_otel.cli.rules import add as add_rules
from metlo_otel.cli.transfer import add as add_transfer
from metlo_otel.cli.users import add as add_users
from metlo_otel.core.version import __version__

_EXTRAS = {
    "sqlalchemy": "collector",
    "alembic": "collector",
    "starlette": "collector",
    "uvicorn": "collector",
    "h11": "collector",
    "anyio": "collector",
    "jinja2": "collector",
    "prometheus_client": "collector",
    "rich": "collector",
    "yaml": "rules",
    "psycopg": "postgresql",
    "flask": "demo",
    "authlib": "oidc",
    "joserfc": "oidc",
    "apprise": "notify",
}
_COMMANDS = (
    add_collector,
    add_demo,
    add_lists,
    add_rules,
    add_openapi,
    add_transfer,
    add_init,
    add_databases,
    add_users,
    add_check,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with `arguments` (default: the process's). Returns the exit code: 2 for a wrong question."""
    parser = make_parser()
    _complete(parser)
    options = parser.parse_args(arguments)
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
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # whoever read the output has had enough; nothing may be flushed into it at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return 2


def _complete(parser: argparse.ArgumentParser) -> None:
    """Answer the shell that asks what could come next, and end; argcomplete says so by this variable."""
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(parser)


def make_parser() -> argparse.ArgumentParser:
    """The command's parser, which the reference in the docs is made of too."""
    parser = argparse.ArgumentParser(prog="metlo-otel", description="API security for Python web apps.")
    parser.epilog = "`metlo-otel COMMAND --help` has examples. Completion in bash, with the extra `completion`: "
    parser.epilog += 'eval "$(register-python-argcomplete metlo-otel)"'
    parser.add_argument("--version", action="version", version=f"metlo-otel {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in _COMMANDS:
        add(commands)
    add_examples(parser)
    return parser
