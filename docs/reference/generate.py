"""Pages of the reference that the code itself makes when the site is built, so that they cannot differ from it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from metlo_otel.blocking.vocabulary import FIELDS, OPERATORS, operators_of
from metlo_otel.cli import make_parser
from metlo_otel.cli.examples import EXAMPLES, walk
from metlo_otel.collector.described import describe

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages, as mkdocs asks its hooks to."""
    from mkdocs.structure.files import File

    description = describe()
    made = {
        "reference/commands.md": commands(),
        "reference/rules.md": rules(),
        "reference/api.md": api(description),
        "reference/openapi.json": json.dumps(description, indent=1),
    }
    for path, text in made.items():
        files.append(File.generated(config, path, content=text))
    return files


def commands() -> str:
    """Every command with its options and examples, of the parser."""
    parts = ["# Commands\n\nMade of the command's own parser: `metlo-otel COMMAND --help` says the same.\n"]
    for name, command in walk(make_parser()):
        parts.append(f"{'#' * (2 + name.count(' '))} metlo-otel {name}\n\n{command.description}\n\n{_usage(command)}\n")
        if rows := list(_options(command)):
            parts.append(_table(("option", "what it is"), rows))
        if examples := EXAMPLES.get(name):
            parts.append(_table(("example", "what for"), [(f"`{line}`", _sentence(what)) for line, what in examples]))
    return "\n".join(parts)


def _options(command: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    for action in command._actions:
        if isinstance(action, argparse._SubParsersAction) or action.help is argparse.SUPPRESS or action.dest == "help":
            continue
        yield _listed(action.option_strings) or f"`{action.metavar or action.dest}`", _help(action)


def _usage(command: argparse.ArgumentParser) -> str:
    return f"```text\n{command.format_usage().removeprefix('usage: ').rstrip()}\n```"


def _help(action: argparse.Action) -> str:
    values = {"default": action.default, "prog": "metlo-otel"}
    return _sentence((action.help or "") % values)


def api(description: dict[str, Any]) -> str:
    """Every call of the collector's HTTP API, of its own description."""
    parts = [
        "# The collector's HTTP API\n",
        f"{description['info']['description']} A collector serves this description of itself at",
        "`/api/v1/openapi.json`, for clients and generators: [OpenAPI 3.1](openapi.json).\n",
        'A list answers `{"items": […], "next": …}`; what `next` is given back as depends on the order.\n',
    ]
    for path, methods in description["paths"].items():
        parts += [text for method, call in methods.items() for text in _call(f"{method.upper()} {path}", call)]
    return "\n".join(parts)


def _call(title: str, call: dict[str, Any]) -> Iterator[str]:
    keys = [name for each in call["security"] for name in each]
    needs = {"agent": "a key of agents", "reader": "a key for reading"}
    yield f"## `{title}`\n\n{call['summary']} It needs {needs[keys[0]] if keys else 'no key'}.\n"
    if parameters := call.get("parameters"):
        rows = [(f"`{each['name']}`", _kind(each["schema"]), each.get("description", "")) for each in parameters]
        yield _table(("parameter", "type", "what it is"), rows)
    rows = [(status, _told(answer), answer["description"]) for status, answer in call["responses"].items()]
    yield _table(("status", "body", "what it says"), rows)


def _kind(schema: dict[str, Any]) -> str:
    return _listed(map(str, schema["enum"])) if "enum" in schema else schema["type"]


def _told(answer: dict[str, Any]) -> str:
    return ", ".join(f"`{kind}`" for kind in answer.get("content", {}))


def rules() -> str:
    """The fields and operators that rules may ask for, of the vocabulary."""
    fields = [
        (f"`{field.written}`", f"`{field.wire}`", field.words, _comparisons(name)) for name, field in FIELDS.items()
    ]
    operators = [(f"`{each.written}`", f"`{each.wire}`", each.words) for each in OPERATORS.values()]
    return "\n".join(
        [
            "# Rules: fields and comparisons\n",
            "What rules files, the wire of agent-config and the dashboard's form call each of them.\n",
            "## Fields\n",
            _table(("in files", "on the wire", "on pages", "comparisons"), fields),
            "## Comparisons\n",
            _table(("in files", "on the wire", "on pages"), operators),
        ]
    )


def _comparisons(field: str) -> str:
    return _listed(operator.written for operator in operators_of(field).values())


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"
