"""A span as OTLP has it, from either of its encodings, and what one request may hold.

Source: opentelemetry-proto 1.x, `trace/v1/trace.proto` and `common/v1/common.proto`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_SPANS = 20_000  # of one request
MAX_ATTRIBUTES = 1_000  # of one span or resource; SDKs keep 128 unless told otherwise
MAX_DEPTH = 16  # of a value within a value

INTERNAL, SERVER, CLIENT = 1, 2, 3  # SpanKind
ERROR = 2  # StatusCode


class SpanError(ValueError):
    """One span that cannot be taken; the text says why."""


class OtlpError(ValueError):
    """A request that is no OTLP at all, or holds too much; the text says why."""


@dataclass(frozen=True, slots=True)
class Span:
    """One span. Ids are numbers, 0 for none; times are nanoseconds since the epoch; `status` is of the span itself."""

    resource: Mapping[str, Any]
    scope: str
    trace_id: int
    span_id: int
    parent_id: int
    name: str
    kind: int
    started: int
    ended: int
    status: int
    attributes: Mapping[str, Any] = field(repr=False)


@dataclass(slots=True)
class Batch:
    """The spans of one request, and how many could not be read, with the first reason."""

    spans: list[Span] = field(default_factory=list)
    rejected: int = 0
    reason: str = ""

    def reject(self, reason: str, count: int = 1) -> None:
        """Note spans that are not taken."""
        self.rejected += count
        self.reason = self.reason or reason


def check_count(have: int, more: int) -> None:
    """Raise OtlpError where one request holds more spans than are taken."""
    if have + more > MAX_SPANS:
        raise OtlpError(f"at most {MAX_SPANS} spans are taken in one request; let the exporter send smaller batches")


def check_attributes(given: object, holder: str) -> None:
    """Raise SpanError for a span or resource with too many attributes to be one."""
    if hasattr(given, "__len__") and len(given) > MAX_ATTRIBUTES:
        raise SpanError(f"a {holder} has at most {MAX_ATTRIBUTES} attributes, not {len(given)}")


def has_use(kind: int, names: Iterable[str]) -> bool:
    """Whether anything is read of a span: of those within a service only what tells of GraphQL."""
    return kind in (SERVER, CLIENT) or any(name.startswith("graphql.") for name in names)
