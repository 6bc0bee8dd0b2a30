"""Responses held against OpenAPI descriptions (3.0 and 3.1): what differs, said without any value of the response."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from typing import Any

from metlo_otel.analysis.endpoints import path_segments
from metlo_otel.analysis.openapi_spec import Description, SpecError, read_spec
from metlo_otel.core.agent_config import Warn
from metlo_otel.core.record import Record
from metlo_otel.core.routes import fits
from metlo_otel.reading.fields import Fields

MAX_ERRORS = 20
MAX_LISTED = 4096
"""Bytes of a body up to which all differences are listed; of a larger one only the first is."""

_BACKTRACKING = 20_000
_MAX_RULE = 80  # characters of a schema's own words in a message

ValidationErrors = dict[str, list[str]]


class ResponseValidator:
    """Validates responses against the specs of an agent-config; each is read when first needed.

    A result is `{"<section>.<path>": [messages]}` with the keys that data types have, at most 20 messages. A message
    names the rule that failed and what the description wants (`type: integer`), never what the response holds.
    """

    def __init__(self, specs: Iterable[tuple[str, str]], warn: Warn) -> None:
        self._texts = dict(specs)
        self._warn = warn
        self._read: dict[str, Description | None] = {}
        self._compiled: dict[tuple[str, ...], Any] = {}

    def validate(self, record: Record, fields: Fields, spec: str) -> ValidationErrors:
        """Hold a record's response against the description named `spec`; empty where nothing differs or is described.

        Raises ImportError where jsonschema-rs is not installed.
        """
        description = self._description(spec)
        found = description and _operation(description, record)
        if not description or not found:
            return {}
        path, responses = found
        status = next((key for key in _statuses(record.status) if key in responses), None)
        if status is None:
            return {"resBody": [f"status {record.status} is not described"]}
        response = description.resolve(responses[status])
        errors = _headers(response, record)
        content = response.get("content")
        if isinstance(content, Mapping) and content:
            self._content(content, record, fields, (spec, path, record.method, status), description, errors)
        return errors

    def _content(
        self,
        content: Mapping[str, Any],
        record: Record,
        fields: Fields,
        place: tuple[str, ...],
        description: Description,
        errors: ValidationErrors,
    ) -> None:
        media = _media(content, record.response.media_type)
        if media is None:
            if record.response.size:
                errors["resHeaders.Content-Type"] = ["is none of the described media types"]
            return
        body = fields.response
        if not body.parsed or body.cut or not isinstance(content[media], Mapping):
            return
        validator = self._validator((*place, media), content[media].get("schema"), description)
        if validator is not None and not validator.is_valid(body.document):
            _collect(_problems(validator, body.document, body.size), errors)

    def _description(self, name: str) -> Description | None:
        if name not in self._read:
            text = self._texts.get(name)
            try:
                self._read[name] = None if text is None else read_spec(text)
            except SpecError as problem:
                self._warn(f"specs: {name!r} is left out: {problem}")
                self._read[name] = None
        return self._read[name]

    def _validator(self, place: tuple[str, ...], schema: Any, description: Description) -> Any:
        if place not in self._compiled:
            self._compiled[place] = self._compile(place, schema, description)
        return self._compiled[place]

    def _compile(self, place: tuple[str, ...], schema: Any, description: Description) -> Any:
        if not isinstance(schema, Mapping | bool):
            return None
        engine = importlib.import_module("jsonschema_rs")
        validator = engine.Draft202012Validator if description.version == "3.1" else engine.Draft4Validator
        patterns = engine.FancyRegexOptions(backtrack_limit=_BACKTRACKING)
        try:
            return validator(description.schema(schema), retriever=_refuse, pattern_options=patterns)
        except (ValueError, engine.ReferencingError) as problem:
            words = str(problem).splitlines()[0][:200]
            self._warn(f"specs: the schema of {' '.join(place)} is left out: {words}")
            return None


def _refuse(uri: str) -> Any:
    """Nothing is fetched: neither from the network nor from disk."""
    raise ValueError(f"a reference to another document: {uri[:100]}")


def _operation(description: Description, record: Record) -> tuple[str, Mapping[str, Any]] | None:
    """The described path that the request's path belongs to, and its responses."""
    for prefix in description.prefixes:
        if record.path.startswith(prefix):
            given = record.path[len(prefix) :].rstrip("/")
            for path in description.paths_of(len(path_segments(given))):
                item = description.resolve(description.paths[path])
                operation = item.get(record.method.lower()) if fits(path.rstrip("/"), given) else None
                if isinstance(operation, Mapping) and isinstance(operation.get("responses"), Mapping):
                    return path, operation["responses"]
    return None


def _statuses(status: int) -> tuple[str, str, str]:
    return str(status), f"{status // 100}XX", "default"


def _media(content: Mapping[str, Any], media_type: str) -> str | None:
    """The described media type that fits best: itself, then ranges of it."""
    named = {key.partition(";")[0].strip().lower(): key for key in content}
    ranges = (media_type, media_type.partition("/")[0] + "/*", "*/*")
    return next((named[each] for each in ranges if each in named), None)


def _headers(response: Mapping[str, Any], record: Record) -> ValidationErrors:
    described = response.get("headers")
    wanted = described.items() if isinstance(described, Mapping) else ()
    missing = [
        name
        for name, header in wanted
        if isinstance(header, Mapping) and header.get("required") is True and not record.response.header(name)
    ]
    return {f"resHeaders.{name}": ["required: missing"] for name in missing[:MAX_ERRORS]}


def _problems(validator: Any, document: Any, size: int) -> Iterable[Any]:
    """All that differs in a small answer; of a large one the first: the engine works out all of them in one step."""
    if size <= MAX_LISTED:
        problems: Iterable[Any] = validator.iter_errors(document)
        return problems
    try:
        validator.validate(document)
    except ValueError as problem:
        return [problem]
    return []


def _collect(problems: Iterable[Any], errors: ValidationErrors) -> None:
    for count, problem in enumerate(problems):
        if count >= MAX_ERRORS:
            return
        key = ".".join(["resBody", *("[]" if isinstance(step, int) else step[:256] for step in problem.instance_path)])
        messages = errors.setdefault(key, [])
        message = _message(problem)
        if message not in messages:
            messages.append(message)


def _message(problem: Any) -> str:
    """The rule's name and the schema's own words; the engine's message would quote the response."""
    kind = problem.kind
    words = getattr(kind, _RULE_WORDS.get(kind.name, ""), None)
    if words is None:
        return str(kind.name)
    text = " or ".join(sorted(words)) if isinstance(words, list) else str(words)
    return f"{kind.name}: {text[:_MAX_RULE]}"


# What of the schema goes into a message, by the engine's names of rules.
_RULE_WORDS = {
    "type": "types",
    "required": "property",
    "format": "format",
    "pattern": "pattern",
    "maxLength": "limit",
    "minLength": "limit",
    "maximum": "limit",
    "minimum": "limit",
    "exclusiveMaximum": "limit",
    "exclusiveMinimum": "limit",
    "maxItems": "limit",
    "minItems": "limit",
    "maxProperties": "limit",
    "minProperties": "limit",
    "multipleOf": "multiple_of",
}
