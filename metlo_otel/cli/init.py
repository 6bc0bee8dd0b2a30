"""`metlo-otel init`: which lines put the agent into a project, and where; written there if one wants that."""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path

from metlo_otel.cli.asking import CommandError, Commands, add_command
from metlo_otel.cli.project import Place, Project, look_at


def add(commands: Commands[argparse.ArgumentParser]) -> None:
    """Know the command."""
    command = add_command(commands, "init", "show which lines put the agent into a project, and write them on request")
    command.add_argument("project", nargs="?", default=".", metavar="FOLDER", help="of the project (default: this one)")
    command.add_argument("--write", action="store_true", help="write the lines without asking")
    command.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    root = Path(options.project)
    if not root.is_dir():
        raise CommandError(f"{options.project!r} is no folder; name the one that your app is in")
    project = look_at(root)
    for file in project.done:
        print(f"{file}: the agent is there already")
    for place in project.places:
        print(f"{place.framework}: {place.file}, line {place.line}\n")
        print(_difference(place))
    if not project.places and not project.done:
        print(_NOTHING, file=sys.stderr)
        return 1
    if project.places and (options.write or _agreed(len(project.places))):
        for place in project.places:
            place.file.write_text(place.after, "utf-8")
            print(f"{place.file}: written")
    _say_what_is_next(project)
    return 0


def _difference(place: Place) -> str:
    before, after = place.before.splitlines(keepends=True), place.after.splitlines(keepends=True)
    return "".join(difflib.unified_diff(before, after, str(place.file), str(place.file), n=2))


def _agreed(files: int) -> bool:
    """Whether who sits at the terminal wants it written; without a terminal nothing is."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    return input(f"Write this into {files} file{'s' if files > 1 else ''}? [y/N] ").strip().lower() in ("y", "yes")


def _say_what_is_next(project: Project) -> None:
    if project.opentelemetry:
        print(f"OpenTelemetry is in {project.opentelemetry[0]}: the agent joins its traces, nothing is to be added.")
    print("The agent reads METLO_HOST and METLO_API_KEY from the environment; `metlo-otel collector` prints a key.")
    print("Then `metlo-otel check --send` sends a request through, and says whether your collector has it.")


_NOTHING = """No Django, Flask, FastAPI or Starlette app was found here. Name the app's folder, or put the agent
around the app yourself:

    from metlo_otel.wsgi import WSGIMiddleware   # or metlo_otel.asgi, ASGIMiddleware
    app = WSGIMiddleware(app)"""
