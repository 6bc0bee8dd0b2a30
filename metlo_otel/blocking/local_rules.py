"""Rules from a file or the settings: read, checked line by line, and read again when the file changes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

from metlo_otel.blocking.checks import RuleError, shown
from metlo_otel.blocking.every_request import parse_written
from metlo_otel.blocking.friendly import parse_friendly
from metlo_otel.blocking.located import DocumentError, Located, Path, load_json, load_yaml, path_of
from metlo_otel.blocking.rules import Rule

_WIRE = ("ruleType", "conditionGroups", "uuid")
_LARGEST = 64 * 1024 * 1024  # bytes of a rules file
_UNREADABLE = (OSError, UnicodeDecodeError, ImportError)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong in a rules file: `line` from 1, 0 where it is not known; `field` empty for a whole rule
    or file.
    """

    file: str
    line: int
    field: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.field}: {self.message}" if self.field else f"{place}: {self.message}"


def check_rules(text: str, filename: str) -> list[Problem]:
    """Everything that is wrong with a rules file's text; `filename` tells JSON (.json) from YAML."""
    return load_rules(text, filename)[1]


def load_rules(text: str, filename: str) -> tuple[tuple[Rule, ...], list[Problem]]:
    """The rules of a file's text that are right, and what is wrong with the others."""
    try:
        located = load_json(text) if filename.lower().endswith(".json") else load_yaml(text)
    except DocumentError as problem:
        return (), [Problem(filename, problem.line, "", str(problem))]
    return _read(located, filename)


def rules_from_list(items: Any, source: str = "RULES") -> tuple[tuple[Rule, ...], list[Problem]]:
    """The rules of a list in the settings that are right, and what is wrong with the others."""
    return _read(Located(items), source)


class RulesFile:
    """A rules file that may change while the application runs.

    A wrong rule is left out and told to `warn`; a file in which no rule is right, or that cannot be read at
    all, leaves the previous rules in force. Not so at the start: what is wrong then is for the caller to say.
    """

    def __init__(self, path: str | FilePath, warn: Callable[[str], None]) -> None:
        self.path = FilePath(path)
        self.rules: tuple[Rule, ...] = ()
        self._warn = warn
        self._seen: tuple[int, ...] = ()
        self._trouble = ""

    def load(self) -> list[str]:
        """Read the file for the first time; what is wrong with it."""
        try:
            found = self._load()
        except _UNREADABLE as problem:
            return [f"{self.path}: cannot be read: {problem}"]
        self.rules, problems = found or ((), [])
        return [str(problem) for problem in problems]

    def load_if_changed(self) -> bool:
        """Read the file where its time, size or identity changed; whether `rules` are new."""
        try:
            found = self._load()
        except _UNREADABLE as problem:
            self._cannot(f"{self.path}: cannot be read: {problem}")
            return False
        return found is not None and self._take(*found)

    def _load(self) -> tuple[tuple[Rule, ...], list[Problem]] | None:
        found = os.stat(self.path)
        seen = (found.st_mtime_ns, found.st_size, found.st_ino)
        if seen == self._seen and not self._trouble:
            return None
        if found.st_size > _LARGEST:
            raise OSError(f"has {found.st_size} bytes, more than {_LARGEST}")
        loaded = load_rules(self.path.read_text("utf-8"), str(self.path))
        self._seen, self._trouble = seen, ""
        return loaded

    def _take(self, rules: tuple[Rule, ...], problems: list[Problem]) -> bool:
        for problem in problems:
            self._warn(str(problem))
        if problems and not rules:
            kept = f"the previous {len(self.rules)} stay in force" if self.rules else "no rule is in force from it"
            self._warn(f"{self.path}: no rule in it is right; {kept}")
            return False
        if problems:
            self._warn(f"{self.path}: the {len(rules)} rules without mistakes are in force")
        self.rules = rules
        return True

    def _cannot(self, message: str) -> None:
        """Tell each trouble once, however often the file is looked at."""
        if message != self._trouble:
            self._warn(message)
        self._trouble = message


def _read(located: Located, file: str) -> tuple[tuple[Rule, ...], list[Problem]]:
    items, base = _items(located.value)
    if items is None:
        return (), []
    if not isinstance(items, list):
        message = f"holds a list of rules, or an object with only such a list as 'rules', not {shown(items)}"
        return (), [Problem(file, located.line(()), "", message)]
    found: dict[str, Rule] = {}
    lines: dict[str, int] = {}
    problems = []
    for place, item in enumerate(items):
        line = located.line((*base, place))
        where = file if line else f"{file}[{place}]"
        rule, mistakes = _parse(item, place)
        if rule is not None and rule.id in found:
            mistakes = [_taken(rule, item, lines[rule.id])]
        elif rule is not None:
            found[rule.id], lines[rule.id] = rule, line
        for mistake in mistakes:
            at = located.line((*base, place, *path_of(mistake.field)))
            problems.append(Problem(where, at, mistake.field, mistake.message))
    return tuple(found.values()), sorted(problems, key=lambda problem: problem.line)


def _items(value: Any) -> tuple[Any, Path]:
    if isinstance(value, Mapping) and set(value) == {"rules"}:
        return value["rules"], ("rules",)
    return value, ()


def _parse(item: Any, place: int) -> tuple[Rule | None, list[RuleError]]:
    if not isinstance(item, Mapping):
        return None, [RuleError("", f"a rule is an object with names and values, not {shown(item)}")]
    if not any(name in item for name in _WIRE):
        return parse_friendly(item, place)
    try:
        return parse_written(item), []
    except RuleError as problem:
        return None, [problem]


def _taken(rule: Rule, item: Mapping[str, Any], line: int) -> RuleError:
    field = next((name for name in ("uuid", "id", "name") if name in item), "")
    place = f"on line {line}" if line else "before it"
    return RuleError(field, f"is {shown(item.get(field) or rule.id)} as that of the rule {place}; each has its own")
