"""GraphQL query text (specification of October 2021) as what analysis needs: fields, arguments, response keys."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from metlo_otel.core.turns import Turn, no_turn

MAX_TOKENS = 2000
"""Tokens up to which a query is read whole; of a longer one only the operations' top fields are."""

MAX_TEXT = 65_536
_MAX_LITERAL = 4096
_MAX_ESCAPE = 16
_MAX_FIELDS = 500
_MAX_DEPTH = 50
_BLANKS = "|".join(rf"{blank}[\s,]{{15,}}" for blank in (" ", ",", "\t", "\r", "\n"))
_LONG = re.compile(
    r'"""[^"\\]*(?:(?:\\.|"(?!""))[^"\\]*)*(?:"""|\\?\Z)|"[^"\\\n]*(?:\\.[^"\\\n]*)*(?:"|(?=\n)|\\?\Z)'
    rf"|#[^\n]*(?:[\s,]+#[^\n]*)*|{_BLANKS}",
    re.DOTALL,
)  # a block of text, a text, comments, blanks; each alternative starts with a character of its own, which is faster
_KINDS = ("query", "mutation", "subscription")


@dataclass(frozen=True, slots=True)
class Variable:
    """A value that the request's variables hold."""

    name: str


@dataclass(slots=True)
class Answer:
    """What a response key stands for: the field's name, and the keys below it."""

    name: str
    below: dict[str, Answer] = field(default_factory=dict)


@dataclass(slots=True)
class Operation:
    """One operation: its top fields by name, its arguments as (dotted path, value), and its response keys.

    Argument values are decoded JSON in which Variable stands where a variable does; `defaults` holds theirs.
    """

    kind: str
    name: str | None = None
    fields: list[str] = field(default_factory=list)
    arguments: list[tuple[str, Any]] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)
    defaults: dict[str, Any] = field(default_factory=dict)


def parse_query(text: str, turn: Turn = no_turn) -> list[Operation]:
    """The operations of a document; empty where it cannot be read. `turn` is called at every token.

    Raises ImportError where graphql-core is not installed, or older than 3.2.3.
    """
    core = importlib.import_module("graphql")
    text = _shortened(text[:MAX_TEXT], turn)
    try:
        document = _parser(core, text, turn).parse_document()
    except (core.GraphQLError, RecursionError):
        return _skim(core, text, turn)
    fragments = {node.name.value: node for node in document.definitions if node.kind == "fragment_definition"}
    wanted = [node for node in document.definitions if node.kind == "operation_definition"]
    return [_Reader(fragments, turn).operation(node) for node in wanted[:10]]


def _shortened(text: str, turn: Turn) -> str:
    """The document with long texts cut and without comments: graphql-core reads these one character after the other."""

    def shorter(match: re.Match[str]) -> str:
        turn()
        literal = match[0]
        if literal[0] != '"':
            return " "
        if len(literal) <= _MAX_LITERAL:
            return literal
        quote = '"""' if literal.startswith('"""') else '"'
        escape = literal.rfind("\\", _MAX_LITERAL - _MAX_ESCAPE, _MAX_LITERAL)
        return literal[: escape if escape >= 0 else _MAX_LITERAL].rstrip("\\") + quote

    return _LONG.sub(shorter, text)


def _parser(core: Any, text: str, turn: Turn) -> Any:
    """graphql-core's parser, which lets others go first at every token; `parse` itself has no place for that."""
    kind = core.language.parser.Parser
    if not hasattr(kind, "advance_lexer"):
        raise ImportError(f"graphql-core {core.version} is installed, 3.2.3 is the oldest that counts tokens")
    parser = kind(core.Source(text), no_location=True, max_tokens=MAX_TOKENS)
    advance = parser.advance_lexer

    def taken() -> None:
        turn()
        advance()

    parser.advance_lexer = taken
    return parser


class _Reader:
    __slots__ = ("fragments", "operation_", "room", "turn")

    def __init__(self, fragments: dict[str, Any], turn: Turn) -> None:
        self.fragments = fragments
        self.turn = turn
        self.room = _MAX_FIELDS

    def operation(self, node: Any) -> Operation:
        self.operation_ = Operation(node.operation.value, node.name.value if node.name else None)
        for variable in node.variable_definitions or ():
            if variable.default_value is not None:
                self.operation_.defaults[variable.variable.name.value] = _value(variable.default_value, 0)
        self._select(node.selection_set, "", self.operation_.answers, frozenset())
        return self.operation_

    def _select(self, selected: Any, path: str, answers: dict[str, Answer], inside: frozenset[str]) -> None:
        """Note the fields of a selection set; `inside` are the fragments that are being spread, and the depth."""
        if selected is None or path.count(".") > _MAX_DEPTH:
            return
        for node in selected.selections:
            if self.room <= 0:
                return
            self.room -= 1
            self.turn()
            if node.kind == "field":
                self._field(node, path, answers, inside)
            elif node.kind == "inline_fragment":
                self._select(node.selection_set, path, answers, inside)
            else:
                self._spread(node.name.value, path, answers, inside)

    def _spread(self, name: str, path: str, answers: dict[str, Answer], inside: frozenset[str]) -> None:
        if name in self.fragments and name not in inside:
            self._select(self.fragments[name].selection_set, path, answers, inside | {name})

    def _field(self, node: Any, path: str, answers: dict[str, Answer], inside: frozenset[str]) -> None:
        name = node.name.value
        below = f"{path}.{name}" if path else name
        if not path and name not in self.operation_.fields:
            self.operation_.fields.append(name)
        for argument in node.arguments or ():
            self.operation_.arguments.append((f"{below}.__args.{argument.name.value}", _value(argument.value, 0)))
        answer = answers.setdefault(node.alias.value if node.alias else name, Answer(name))
        self._select(node.selection_set, below, answer.below, inside)


def _value(node: Any, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        return None
    if node.kind == "variable":
        return Variable(node.name.value)
    if node.kind == "list_value":
        return [_value(item, depth + 1) for item in node.values]
    if node.kind == "object_value":
        return {item.name.value: _value(item.value, depth + 1) for item in node.fields}
    if node.kind in ("int_value", "float_value"):
        return float(node.value)
    return getattr(node, "value", None)  # text, names of enums, booleans; null has none


def _skim(core: Any, text: str, turn: Turn) -> list[Operation]:
    """The top fields of a document that is cut, broken or too long, as far as its tokens go."""
    operations: list[Operation] = []
    try:
        _skim_tokens(_tokens(core, text, turn), operations)
    except core.GraphQLError:
        return operations
    return operations


def _tokens(core: Any, text: str, turn: Turn) -> Iterator[tuple[str, str]]:
    lexer = core.Lexer(core.Source(text))
    for _ in range(MAX_TOKENS):
        turn()
        token = lexer.advance()
        if token.kind.name == "EOF":
            return
        yield token.kind.name, token.value or ""


def _skim_tokens(tokens: Iterator[tuple[str, str]], operations: list[Operation]) -> None:
    """Names at the first level of braces, outside of parentheses, that follow neither `...` nor `@`."""
    braces = parentheses = 0
    kind: str | None = "query"
    pending, before = "", ""
    for symbol, value in tokens:
        if braces == 1 and not parentheses and pending and symbol != "COLON" and kind:
            _note(operations[-1], pending)
        pending = ""
        if symbol == "BRACE_L":
            braces += 1
            if braces == 1 and kind:
                operations.append(Operation(kind))
        elif symbol == "BRACE_R":
            braces -= 1
            kind = "query" if braces == 0 else kind
        elif symbol in ("PAREN_L", "PAREN_R"):
            parentheses += 1 if symbol == "PAREN_L" else -1
        elif symbol == "NAME" and braces == 0 and not parentheses:
            kind = value if value in _KINDS else None if value == "fragment" else kind
        elif symbol == "NAME" and before not in ("SPREAD", "AT"):
            pending = value
        before = before if value == "on" and before == "SPREAD" else symbol  # a type's name follows `... on`


def _note(operation: Operation, name: str) -> None:
    if name not in operation.fields:
        operation.fields.append(name)
        operation.answers[name] = Answer(name)
