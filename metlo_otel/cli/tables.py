"""Answers for a terminal or a program: tables by rich, or JSON; what came from outside is only ever text."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from typing import Any

_NUMBERS = ("Calls", "Errors", "p95 ms", "Attacks", "Blocked", "Risk", "Endpoints")
_WIDE = 10_000


def clean(value: Any) -> str:
    """A value as a line of text, without what a terminal would obey."""
    text = "" if value is None else str(value)
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


def moment(milliseconds: int | None) -> str:
    """A moment as the clock on the wall has it; empty for none."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(milliseconds / 1000)) if milliseconds else ""


def write_json(value: Any) -> None:
    """One JSON value on a line of its own, in ASCII: it says the same in every terminal and pipe."""
    print(json.dumps(value), flush=True)


def write_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], empty: str) -> None:
    """A table, or the sentence `empty` where there is nothing to show. Without rich, columns in plain text."""
    shown = [[clean(value) for value in row] for row in rows]
    if not shown:
        print(empty)
    elif find_spec("rich") is None:
        _write_plain(columns, shown)
    else:
        _write_rich(columns, shown)


def _write_plain(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """For the environment of an app, which needs no more than the agent."""
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    for row in (columns, *rows):
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def _write_rich(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in columns:
        table.add_column(name, justify="right" if name in _NUMBERS else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    width = None if sys.stdout.isatty() else _WIDE  # in a pipe nothing is cut or wrapped
    Console(width=width, highlight=False).print(table)
