"""Raw traces of older agents, analysed on arrival as newer agents do it themselves."""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import Connection

from metlo_otel.analysis.analyse import Analyser
from metlo_otel.analysis.attacks import detect
from metlo_otel.analysis.detectors.finding import Finding
from metlo_otel.collector.configuration import get_setting, read_document, read_version
from metlo_otel.collector.database import insert_new
from metlo_otel.collector.raw import record_of
from metlo_otel.collector.schema import SETTINGS
from metlo_otel.collector.senders import plain
from metlo_otel.collector.trace import Trace, checked
from metlo_otel.core.agent_config import parse_agent_config
from metlo_otel.core.exemptions import Exemptions
from metlo_otel.core.record import Record
from metlo_otel.reading.fields import Fields

if TYPE_CHECKING:
    from metlo_otel.collector.store import Store

LOG = logging.getLogger("metlo_otel.collector")

_SESSION_KEY = "session key"


class Arrival:
    """Analyses raw traces under the configuration in force; for one thread at a time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._version: str | None = None
        self._key: bytes | None = None
        self._exempt = Exemptions()
        self._findings: dict[str, list[Finding]] = {}
        self._analyser: Analyser | None = None

    def reader(self) -> Callable[[Any], Trace]:
        """What reads raw traces, as read_trace() does with version 1, and analyses them."""
        return partial(self._read, *self._current())

    def analyst(self) -> Callable[[dict[str, Any], Record], Trace]:
        """What analyses raw traces in their plain form whose records are there already."""
        return partial(self.analysed, *self._current())

    def _read(self, analyser: Analyser, key: bytes, item: Any) -> Trace:
        raw = plain(item)
        checked(raw, 1, unknown_status=True)
        return self.analysed(analyser, key, raw, record_of(raw))

    def analysed(self, analyser: Analyser, key: bytes, raw: dict[str, Any], record: Record) -> Trace:
        """The checked trace of a raw one in its plain form, with what is found in its record."""
        self._findings = {}
        found = analyser.analyse(record)
        processed = found.as_trace_data()
        if self._findings:
            processed["attackFragments"] = [
                {"key": place, "type": each.category, "confidence": each.confidence, "fragment": each.fragment}
                for place, findings in self._findings.items()
                for each in findings
            ]
        session = analyser.session(record, key, show_user=True)
        analysed = {**raw, "processedTraceData": processed, "sessionMeta": session, "analysisType": "full"}
        return replace(checked(analysed, 2, unknown_status=True), version=1)

    def _current(self) -> tuple[Analyser, bytes]:
        version = self._store.read(read_version)
        if self._analyser is None or version != self._version:
            document, _ = self._store.read(lambda connection: read_document(connection, own=True))
            config = parse_agent_config(orjson.loads(document), LOG.warning)
            self._analyser = Analyser(config, LOG.warning, detect=self._detect)
            self._exempt = Exemptions(config.exemptions)
            self._version = version
        if self._key is None:
            self._key = bytes.fromhex(self._store.change(_session_key).result())
        return self._analyser, self._key

    def _detect(self, record: Record, fields: Fields, _paths: tuple[str, ...]) -> dict[str, list[str]]:
        texts = [(key, value if isinstance(value, str) else "") for key, value, _ in fields.inspected]
        found = detect([("reqPath", record.path), *texts])
        wanted = {
            key: [each for each in findings if not self._exempt.cover(record.path, key, each.category)]
            for key, findings in found.items()
        }
        self._findings = {key: findings for key, findings in wanted.items() if findings}
        return {key: [each.category for each in findings] for key, findings in self._findings.items()}


def _session_key(connection: Connection) -> str:
    """The key of session hashes, made when it is first needed: all processes and all times hash alike."""
    row = {"name": _SESSION_KEY, "value": json.dumps(secrets.token_hex(32)), "changed": int(time.time() * 1000)}
    insert_new(connection, SETTINGS, [row])
    found: str = get_setting(connection, _SESSION_KEY)
    return found
