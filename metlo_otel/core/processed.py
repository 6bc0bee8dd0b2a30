"""What was found in an exchange, as values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from metlo_otel.core.agent_config import AgentConfig
from metlo_otel.core.record import Record

Places = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Fragment:
    """What made a detector speak, and where: `text` is content, which leaves only where content does."""

    key: str
    category: str
    confidence: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Processed:
    """Findings of the analysis, keyed `<section>.<path>` as in the wire's processedTraceData.

    `partial` says that there was time for the attacks only; `operations` are the GraphQL paths without their section;
    `incomplete` says why not all of the request was inspected, `hidden` are values that must not leave,
    whatever they stand under.
    """

    data_types: Places = field(default_factory=dict)
    sensitive: Places = field(default_factory=dict)
    attacks: Places = field(default_factory=dict)
    graphql_paths: Sequence[str] = ()
    validation_errors: Mapping[str, Any] = field(default_factory=dict)
    partial: bool = False
    operations: Sequence[str] = ()
    fragments: Sequence[Fragment] = ()
    incomplete: tuple[str, ...] = ()
    hidden: Sequence[str] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Session:
    """How the request authenticated. None: nobody knows; `key` is a keyed hash, never the secret itself."""

    provided: bool | None = None
    successful: bool | None = None
    kind: str | None = None
    key: str | None = field(default=None, repr=False)
    user: str | None = None


Analyse = Callable[[Record, AgentConfig], Processed]
ReadSession = Callable[[Record, AgentConfig], Session]
