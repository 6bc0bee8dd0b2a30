"""YAML and JSON documents read together with the line of each of their parts."""

from __future__ import annotations

import bisect
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from metlo_otel.core.yaml_loading import bounded_loader, check_events

Path = tuple["str | int", ...]

_DEEPEST = 50
_MOST_PARTS = 500_000  # an alias that repeats an alias makes a small file huge
_SPACE = re.compile(r"[ \t\r\n]*")
_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


class DocumentError(ValueError):
    """The text is no document at all; `line` says where reading it ended."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class Located:
    """A document's value, and the line (from 1) of each part by its path of keys and positions."""

    value: Any
    lines: Mapping[Path, int] = field(default_factory=dict)

    def line(self, path: Path) -> int:
        """The line of a part, or of the nearest one around it; 0 where lines are not known."""
        while path not in self.lines and path:
            path = path[:-1]
        return self.lines.get(path, 0)


def path_of(text: str) -> Path:
    """The path that a text like `conditions[2].field` names."""
    return tuple([name or int(number) for name, number in _STEP.findall(text)])


def load_json(text: str) -> Located:
    """Read JSON. Raises DocumentError with the line of a mistake, also for a key that is there twice."""
    try:
        json.loads(text)
        return _JsonReader(text).document()
    except json.JSONDecodeError as problem:
        raise DocumentError(problem.lineno, f"is not JSON: {problem.msg} (column {problem.colno})") from None
    except (RecursionError, ValueError) as problem:
        if isinstance(problem, DocumentError):
            raise
        raise DocumentError(1, f"is not JSON that can be read: {problem}") from None


def load_yaml(text: str) -> Located:
    """Read YAML; dates stay text. Raises DocumentError with the line of a mistake, ImportError without
    pyyaml.
    """
    try:
        import yaml
    except ImportError as problem:
        told = f"YAML rules need the extra: pip install 'metlo-otel[rules]' ({problem})"
        raise ModuleNotFoundError(told, name="yaml") from None
    loader = bounded_loader(yaml)
    try:
        check_events(yaml, text, _DEEPEST)
        node = yaml.compose(text, Loader=loader)
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        reason = getattr(problem, "problem", None) or str(problem).splitlines()[0]
        reason = "is nested too deep" if "nesting depth" in reason else reason  # a bound of PyYAML 6.0.4
        bounded = reason.startswith(("is nested", "has more"))
        told = reason if bounded else f"is not YAML: {reason}"
        raise DocumentError(mark.line + 1 if mark else 1, told) from None
    reader = _YamlReader(loader(""))
    return Located(reader.read(node, ()) if node is not None else None, reader.lines)


class _JsonReader:
    """Reads a text that is known to be JSON, for the lines."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._breaks = [match.start() for match in re.finditer("\n", text)]
        self._scan = json.JSONDecoder().raw_decode
        self.lines: dict[Path, int] = {}

    def document(self) -> Located:
        return Located(self._part(self._after(0), ())[0], self.lines)

    def _part(self, at: int, path: Path) -> tuple[Any, int]:
        """The part that begins at `at`, and where what follows it begins."""
        self.lines.setdefault(path, self._line(at))
        if len(path) > _DEEPEST:
            raise DocumentError(self._line(at), "is nested too deep")
        if self._text[at] == "{":
            return self._object(at, path)
        if self._text[at] == "[":
            return self._list(at, path)
        value, end = self._scan(self._text, at)
        return value, self._after(end)

    def _list(self, at: int, path: Path) -> tuple[Any, int]:
        found: list[Any] = []
        at = self._after(at + 1)
        while self._text[at] != "]":
            value, at = self._part(at, (*path, len(found)))
            found.append(value)
            at = self._after(at + 1) if self._text[at] == "," else at
        return found, self._after(at + 1)

    def _object(self, at: int, path: Path) -> tuple[Any, int]:
        found: dict[str, Any] = {}
        at = self._after(at + 1)
        while self._text[at] != "}":
            key, end = self._scan(self._text, at)
            if key in found:
                message = f"has the key {key!r}, which this object has already"
                raise DocumentError(self._line(at), message)
            inner = (*path, key)
            self.lines[inner] = self._line(at)
            found[key], at = self._part(self._after(self._after(end) + 1), inner)
            at = self._after(at + 1) if self._text[at] == "," else at
        return found, self._after(at + 1)

    def _line(self, at: int) -> int:
        return bisect.bisect_left(self._breaks, at) + 1

    def _after(self, at: int) -> int:
        match = _SPACE.match(self._text, at)
        return match.end() if match else at


class _YamlReader:
    """Turns nodes into values; only the plain types of JSON."""

    def __init__(self, loader: Any) -> None:
        self._construct = {
            "tag:yaml.org,2002:int": loader.construct_yaml_int,
            "tag:yaml.org,2002:float": loader.construct_yaml_float,
            "tag:yaml.org,2002:bool": loader.construct_yaml_bool,
            "tag:yaml.org,2002:null": lambda _: None,
        }
        self._parts = 0
        self.lines: dict[Path, int] = {}

    def read(self, node: Any, path: Path) -> Any:
        line = node.start_mark.line + 1
        self.lines.setdefault(path, line)
        self._parts += 1
        if len(path) > _DEEPEST or self._parts > _MOST_PARTS:
            raise DocumentError(line, "is nested too deep or repeats itself too often")
        if node.id == "sequence":
            return [self.read(item, (*path, index)) for index, item in enumerate(node.value)]
        if node.id == "mapping":
            return self._mapping(node, path)
        try:
            return self._construct.get(node.tag, lambda scalar: scalar.value)(node)
        except (ValueError, OverflowError) as problem:
            raise DocumentError(line, f"has a value that cannot be read: {problem}") from None

    def _mapping(self, node: Any, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.id != "scalar":
                raise DocumentError(line, "has a key that is not text")
            if key.value in found:
                raise DocumentError(line, f"has the key {key.value!r}, which this object has already")
            inner = (*path, key.value)
            self.lines[inner] = line
            found[key.value] = self.read(value, inner)
        return found
