"""From a record to the span that leaves, and from a span to the trace on the wire: the one way for all exchanges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from opentelemetry.sdk.trace import ReadableSpan

from metlo_otel.core.agent_config import AgentConfig
from metlo_otel.core.processed import Analyse, Processed, ReadSession, Session
from metlo_otel.core.record import Record
from metlo_otel.core.settings import Settings
from metlo_otel.export.delivery import MAX_TRACE
from metlo_otel.export.masking import hide, mask
from metlo_otel.export.span_reading import record_of
from metlo_otel.export.spans import ExchangeSpan
from metlo_otel.export.wire import Encrypt, UnsendableError, Wire, encode, without_bodies


def _find_nothing(_record: Record, _config: AgentConfig) -> Processed:
    return Processed()


def _nobody(_record: Record, _config: AgentConfig) -> Session:
    return Session()


@dataclass(frozen=True, slots=True)
class Seams:
    """What other rooms do with an exchange: they see it before it is masked, and answer without its content."""

    analyse: Analyse = _find_nothing
    session: ReadSession = _nobody
    encrypt: Encrypt | None = None


class Tracing:
    """Makes spans of records and traces of spans, by the configuration in force at that moment."""

    def __init__(self, settings: Settings, config: Callable[[], AgentConfig], seams: Seams) -> None:
        self._settings = settings
        self._config = config
        self._seams = seams
        self._wire = config(), Wire(config(), settings, seams.encrypt)

    def span(self, record: Record) -> ExchangeSpan | None:
        """The span of a record: examined, then masked; None of one that was suspected of an attack and has none."""
        config = self._config()
        processed = self._seams.analyse(record, config)
        if record.suspected and not processed.attacks:
            return None
        if processed.incomplete:
            record = replace(record, incomplete=tuple(dict.fromkeys((*record.incomplete, *processed.incomplete))))
        session = self._seams.session(record, config)
        masked = hide(mask(record, self._settings.masked_fields), processed.hidden)
        return ExchangeSpan(masked, processed, session)

    def trace(self, span: ReadableSpan) -> bytes | None:
        """The encoded trace of a span; None where it is no HTTP server span. Raises UnsendableError."""
        if not isinstance(span, ExchangeSpan):
            record = record_of(span)
            made = None if record is None else self.span(record)
            if made is None:
                return None
            span = made
        trace = self._current_wire().trace(span.record, span.processed, span.session)
        encoded = encode(trace)
        if len(encoded) > MAX_TRACE:
            encoded = encode(without_bodies(trace))
        if len(encoded) > MAX_TRACE:
            raise UnsendableError("too_large")
        return encoded

    def _current_wire(self) -> Wire:
        config = self._config()
        if self._wire[0] is not config:
            self._wire = config, Wire(config, self._settings, self._seams.encrypt)
        return self._wire[1]
