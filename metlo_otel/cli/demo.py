"""`metlo-otel demo`."""

from __future__ import annotations

import argparse
from importlib.util import find_spec

from metlo_otel.cli.asking import Commands, add_command


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Know the command."""
    about = "a collector, a sample shop and visitors on this machine, and a table of what is captured"
    command = add_command(commands, "demo", about)
    command.add_argument("--once", action="store_true", help="end once the first requests were captured")
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    if find_spec("flask") is None:  # it is the shop's process that imports it
        raise ModuleNotFoundError("No module named 'flask'", name="flask")
    from metlo_otel.demo.run import run

    return run(once=options.once)
