"""Everything that is found out about one record, by an analyser that is built once for a configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from metlo_otel.analysis.data_classes import Classifier
from metlo_otel.analysis.endpoints import Endpoints
from metlo_otel.analysis.graphql import GraphQL
from metlo_otel.analysis.openapi import ResponseValidator
from metlo_otel.analysis.sessions import Sessions, session_meta
from metlo_otel.core.agent_config import AgentConfig, Authentication, Endpoint, Warn
from metlo_otel.core.processed import Processed
from metlo_otel.core.record import Record
from metlo_otel.core.turns import Turn, no_turn
from metlo_otel.reading.fields import MAX_INSPECT, Fields, data_types, read_fields, read_request
from metlo_otel.reading.nodes import clean

_MORE = 500  # fields that are declared nowhere, in which classes are looked for
Detections = Mapping[str, list[str]]
Detect = Callable[[Record, Fields, tuple[str, ...]], Detections]
"""Finds attacks: given a record, its fields and its GraphQL paths, `{key: attack types}`."""


def _no_detection(_record: Record, _fields: Fields, _paths: tuple[str, ...]) -> Detections:
    return {}


@dataclass(frozen=True, slots=True)
class Analysed(Processed):
    """What analysis found; `fields` are those that it looked at, `endpoint` what the backend knows of the request."""

    fields: Fields = field(default_factory=Fields, repr=False)
    request_content_type: str = ""
    response_content_type: str = ""
    endpoint: Endpoint | None = None

    def as_trace_data(self, *, tags: tuple[str, ...] = (), blocked: bool = False) -> dict[str, Any]:
        """The trace's `processedTraceData`; what is empty is left out, as the backend expects it."""
        found = {
            "dataTypes": dict(self.data_types),
            "sensitiveDataDetected": dict(self.sensitive),
            "attackDetections": dict(self.attacks),
            "graphqlPaths": list(self.graphql_paths),
            "validationErrors": dict(self.validation_errors),
            "requestTags": list(tags),
        }
        kept = {name: value for name, value in found.items() if value}
        types = {
            "requestContentType": self.request_content_type,
            "responseContentType": self.response_content_type,
        }
        return {"block": blocked, **kept, **types}


class Analyser:
    """Analyses records under one configuration.

    `warn` is told once of each part that is left out (a pattern, a spec, an extra that is not installed); `speed` as
    for matching: RE2 or not; `detect` finds attacks; `turn` is called between the steps of long work,
    `limit` as MAX_INSPECT: bytes that an encoded body may unfold to.
    """

    def __init__(
        self,
        config: AgentConfig,
        warn: Warn,
        *,
        detect: Detect = _no_detection,
        speed: bool | None = None,
        turn: Turn = no_turn,
        limit: int = MAX_INSPECT,
    ) -> None:
        self._limit = limit
        self._config = config
        self._warn = warn
        self._detect = detect
        self._turn = turn
        self._classifier = Classifier(config.data_classes, warn, speed)
        self._endpoints = Endpoints(config.endpoints)
        self._sessions = Sessions(config)
        self._graphql: GraphQL | None = GraphQL(turn)
        self._validator: ResponseValidator | None = ResponseValidator(config.specs, warn)
        self.severities: Mapping[str, str] = self._classifier.severities

    def analyse(self, record: Record) -> Analysed:
        """The full analysis of a record."""
        endpoint = self.endpoint(record)
        plain = read_fields(record, self._turn, self._limit)
        fields, paths = self._with_graphql(record, plain, endpoint)
        classified = (*fields.sent, *islice(fields.more, _MORE), *fields.answered)
        return self._analysed(
            record,
            fields,
            endpoint,
            data_types=data_types(fields, record.status),
            sensitive=self._classifier.detect(classified, self._turn),
            graphql_paths=paths,
            validation_errors=self._validated(record, plain, endpoint),
        )

    def count(self, record: Record) -> Analysed:
        """The short analysis of a record that is only counted: attacks and GraphQL paths. The answer is not read."""
        endpoint = self.endpoint(record)
        fields, paths = self._with_graphql(record, read_request(record, self._turn, self._limit), endpoint)
        return self._analysed(record, fields, endpoint, graphql_paths=paths)

    def _analysed(
        self, record: Record, fields: Fields, endpoint: Endpoint | None, *, graphql_paths: tuple[str, ...], **found: Any
    ) -> Analysed:
        return Analysed(
            **found,
            attacks=self._detect(record, fields, graphql_paths),
            graphql_paths=graphql_paths,
            operations=tuple(dict.fromkeys(path.partition(".")[2] for path in graphql_paths)),
            incomplete=fields.incomplete,
            fields=fields,
            request_content_type=clean(record.request.content_type),
            response_content_type=clean(record.response.content_type),
            endpoint=endpoint,
        )

    def endpoint(self, record: Record) -> Endpoint | None:
        """What the backend knows of the record's endpoint."""
        return self._endpoints.find(self._config.map_host(record.host), record.method, record.path)

    def authentication(self, record: Record) -> Authentication | None:
        """How requests to the record's host authenticate, as configured."""
        return self._sessions.authentication(record.host)

    def session(self, record: Record, key: bytes, *, show_user: bool) -> dict[str, Any]:
        """The trace's `sessionMeta`, hashed under `key`; the user only where it may be shown."""
        return session_meta(record, self.authentication(record), key, show_user=show_user)

    def _with_graphql(
        self, record: Record, fields: Fields, endpoint: Endpoint | None
    ) -> tuple[Fields, tuple[str, ...]]:
        if self._graphql is None or not _is_graphql(record, endpoint):
            return fields, ()
        try:
            read = self._graphql.read(record, fields)
        except ImportError:
            self._graphql = None
            self._warn("GraphQL requests are not looked into: pip install 'metlo-otel[graphql]'")
            return fields, ()
        return read.fields, read.paths

    def _validated(self, record: Record, fields: Fields, endpoint: Endpoint | None) -> Mapping[str, list[str]]:
        if self._validator is None or endpoint is None or endpoint.spec is None:
            return {}
        try:
            return self._validator.validate(record, fields, endpoint.spec)
        except ImportError:
            self._validator = None
            self._warn("responses are not held against their specs: pip install 'metlo-otel[openapi]'")
            return {}


def _is_graphql(record: Record, endpoint: Endpoint | None) -> bool:
    """As the backend says, by the path's last segment, or by the media type of its own."""
    if endpoint is not None and endpoint.graphql:
        return True
    return record.path.rstrip("/").endswith("/graphql") or record.request.media_type == "application/graphql"
