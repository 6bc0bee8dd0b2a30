"""What a project is made of, read from its source: its framework, where its app is made, and the lines to add there."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

_PASSED_OVER = {"node_modules", "site-packages", "tests", "test", "migrations", "build", "dist", "__pycache__"}
_MOST_FILES, _MOST_BYTES = 5_000, 1_000_000
_DJANGO = "metlo_otel.django.MetloDjango"
_WAYS_IN = {
    "Flask": ("from metlo_otel.flask import MetloFlask", "MetloFlask({app})"),
    "FastAPI": ("from metlo_otel.fastapi import ASGIMiddleware", "{app}.add_middleware(ASGIMiddleware)"),
    "Starlette": ("from metlo_otel.asgi import ASGIMiddleware", "{app}.add_middleware(ASGIMiddleware)"),
}


@dataclass(frozen=True, slots=True)
class Place:
    """Where the agent goes in: `line` counts from 1, `after` is the file with the lines added."""

    framework: str
    file: Path
    line: int
    before: str
    after: str


@dataclass(slots=True)
class Project:
    """What was found: places to add something at, files that have it already, and where OpenTelemetry is imported."""

    places: list[Place] = field(default_factory=list)
    done: list[Path] = field(default_factory=list)
    opentelemetry: list[Path] = field(default_factory=list)


def look_at(root: Path) -> Project:
    """Read the Python files below `root`, none of which is run. Files that are no Python 3 are passed over."""
    project = Project()
    for file in _files(root):
        text = file.read_text("utf-8", errors="replace")
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError):
            continue
        _look_at_file(project, file, text, tree)
    return project


def _files(root: Path) -> Iterator[Path]:
    """Those that a person wrote: no environments, no caches, no tests; bounded, in a fixed order."""
    found = 0
    for folder, names, files in os.walk(root):
        names[:] = sorted(
            name
            for name in names
            if name not in _PASSED_OVER and name[:1] != "." and not (Path(folder, name) / "pyvenv.cfg").exists()
        )
        for name in sorted(files):
            file = Path(folder, name)
            if name.endswith(".py") and not name.startswith("test_") and file.stat().st_size <= _MOST_BYTES:
                found += 1
                if found > _MOST_FILES:
                    return
                yield file


def _look_at_file(project: Project, file: Path, text: str, tree: ast.Module) -> None:
    imported = set(_imported(tree))
    if any(name.partition(".")[0] == "opentelemetry" for name in imported):
        project.opentelemetry.append(file)
    if any(name.partition(".")[0] in ("metlo_otel", "metlo") for name in imported) or _DJANGO in text:
        project.done.append(file)
        return
    place = _in_django(file, text, tree) or _in_app(file, text, tree)
    if place is not None:
        project.places.append(place)


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def _in_django(file: Path, text: str, tree: ast.Module) -> Place | None:
    """A settings module's list of middlewares: last, behind authentication, so that rules know the user."""
    for node in tree.body:
        if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.List | ast.Tuple)):
            continue
        if not any(isinstance(target, ast.Name) and target.id == "MIDDLEWARE" for target in node.targets):
            continue
        items = node.value.elts
        if not items or not all(isinstance(item, ast.Constant | ast.Starred) for item in items):
            return None
        return _added_item(file, text, items[-1])
    return None


def _added_item(file: Path, text: str, item: ast.expr) -> Place | None:
    """One item more behind the last of a list that has one a line."""
    lines = text.splitlines(keepends=True)
    written = lines[item.lineno - 1]
    indent = written[: len(written) - len(written.lstrip())]
    if written.strip().rstrip(",") != (ast.get_source_segment(text, item) or ""):
        return None  # several on a line: the user knows better where to cut it
    if not written.rstrip().endswith(","):
        lines[item.lineno - 1] = written.rstrip("\n") + ",\n"
    return _place("Django", file, text, lines, {item.lineno: [f'{indent}"{_DJANGO}",\n']})


def _in_app(file: Path, text: str, tree: ast.Module) -> Place | None:
    """The statement that makes the app, in a module or in a function of one; the middleware that is added last is
    the outermost, so ours follows those of the app.
    """
    for body in _bodies(tree):
        for number, node in enumerate(body):
            made = _made(node)
            if made is None:
                continue
            framework, app = made
            last = node
            for later in body[number + 1 :]:
                last = later if _adds_middleware(later, app) else last
            return _added_call(file, text, tree, framework, app, last)
    return None


def _bodies(tree: ast.Module) -> Iterator[list[ast.stmt]]:
    yield tree.body
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.body


def _made(node: ast.stmt) -> tuple[str, str] | None:
    """The framework and the name, where a statement is `app = Flask(…)` or the like."""
    value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    if not (isinstance(value, ast.Call) and len(targets) == 1 and isinstance(targets[0], ast.Name)):
        return None
    called = value.func
    name = called.id if isinstance(called, ast.Name) else called.attr if isinstance(called, ast.Attribute) else ""
    return (name, targets[0].id) if name in _WAYS_IN else None


def _adds_middleware(node: ast.stmt, app: str) -> bool:
    called = node.value.func if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) else None
    return (
        isinstance(called, ast.Attribute)
        and called.attr == "add_middleware"
        and isinstance(called.value, ast.Name)
        and called.value.id == app
    )


def _added_call(file: Path, text: str, tree: ast.Module, framework: str, app: str, behind: ast.stmt) -> Place:
    lines = text.splitlines(keepends=True)
    import_line, call = _WAYS_IN[framework]
    imports = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    first = tree.body[:1] if ast.get_docstring(tree, clean=False) is not None else []
    at = max((node.end_lineno or node.lineno for node in [*first, *imports]), default=0)
    indent = " " * behind.col_offset
    end = behind.end_lineno or behind.lineno
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    return _place(framework, file, text, lines, {end: [f"{indent}{call.format(app=app)}\n"], at: [import_line + "\n"]})


def _place(framework: str, file: Path, text: str, lines: list[str], added: dict[int, list[str]]) -> Place:
    """`added` lines go in behind the line of that number."""
    for at in sorted(added, reverse=True):
        lines[at:at] = added[at]
    return Place(framework, file, max(added) + 1, text, "".join(lines))
