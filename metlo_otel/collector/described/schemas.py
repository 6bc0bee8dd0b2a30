"""JSON Schemas of what the API takes and answers."""

from __future__ import annotations

from typing import Any

from metlo_otel.collector.alert_kinds import KINDS, SEVERITIES
from metlo_otel.collector.alerts import STATUSES
from metlo_otel.core.aggregates import AUTHENTICATIONS, SOURCES, VERSION

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer", "minimum": 0}
FLAG: Schema = {"type": "boolean"}
MOMENT: Schema = {**WHOLE, "description": "Milliseconds since 1970."}
STATUS: Schema = {**WHOLE, "maximum": 599, "description": "Of HTTP; 0 where nobody knows it."}
NAMES: Schema = {"type": "array", "items": TEXT}
PLACES: Schema = {"type": "object", "additionalProperties": NAMES}
_PAIRS: Schema = {"type": "array", "items": {"type": "object", "properties": {"name": TEXT, "value": TEXT}}}


def maybe(schema: Schema) -> Schema:
    """The same, or null."""
    return {**schema, "type": [schema["type"], "null"]}


def whole(**properties: Schema) -> Schema:
    """An object that has all of these properties and no others."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def some(required: str, **properties: Schema) -> Schema:
    """An object that has the properties named in `required`, and may have others."""
    return {"type": "object", "properties": properties, "required": required.split()}


def named(name: str) -> Schema:
    """A schema of SCHEMAS."""
    return {"$ref": f"#/components/schemas/{name}"}


_COUNTS = dict.fromkeys(("calls", "clientErrors", "serverErrors", "attacks", "blocked"), WHOLE)
_SEEN = {"firstSeen": MOMENT, "lastSeen": MOMENT}
_WHO = {"source": maybe(TEXT), "user": maybe(TEXT), "session": maybe(TEXT)}
_TRACE = {
    "id": WHOLE,
    "endpoint": maybe(WHOLE),
    "received": MOMENT,
    "version": {"enum": [1, 2]},
    "host": TEXT,
    "method": TEXT,
    "path": TEXT,
    "status": STATUS,
    **_WHO,
    "blocked": FLAG,
    "rule": maybe(TEXT),
    "attacks": NAMES,
    "redacted": FLAG,
    "interesting": FLAG,
    "traceId": maybe(TEXT),
    "durationMicroseconds": maybe(WHOLE),
}
_LATENCY = whole(p50=WHOLE, p95=WHOLE, p99=WHOLE, calls=WHOLE)
_SIZES = whole(requestBytes=WHOLE, responseBytes=WHOLE, calls=WHOLE)

SCHEMAS: dict[str, Schema] = {
    "Error": some("error", error=TEXT),
    "Trace": whole(**_TRACE),
    "TraceWithContent": whole(**_TRACE, trace={"type": "object", "description": "The trace as it was sent."}),
    "Endpoint": whole(
        id=WHOLE,
        host=TEXT,
        method=TEXT,
        path=TEXT,
        operation=maybe({**TEXT, "description": "Of GraphQL."}),
        inferred={**FLAG, "description": "Whether parameters of the path are guessed."},
        **_COUNTS,
        risk={**WHOLE, "maximum": 100},
        classes={**NAMES, "description": "Of sensitive data."},
        flags=NAMES,
        statuses={"type": "object", "additionalProperties": WHOLE},
        services=NAMES,
        traces={**WHOLE, "description": "How many are kept."},
        latency=maybe({**_LATENCY, "description": "Microseconds."}),
        sizes=maybe(_SIZES),
        **_SEEN,
        fullTraceCaptureEnabled=FLAG,
    ),
    "Attack": whole(
        id=WHOLE,
        at=MOMENT,
        endpoint=WHOLE,
        host=TEXT,
        method=TEXT,
        template={**TEXT, "description": "The endpoint's path."},
        trace=maybe({**WHOLE, "description": "Null where it is not kept any more."}),
        category=TEXT,
        field=TEXT,
        confidence=maybe(TEXT),
        fragment=maybe(TEXT),
        path=TEXT,
        status=STATUS,
        blocked=FLAG,
        **_WHO,
    ),
    "Actor": whole(id=WHOLE, kind={"enum": ["address", "session", "user"]}, value=TEXT, **_COUNTS, **_SEEN),
    "Service": whole(service=TEXT, environment=maybe(TEXT), language=maybe(TEXT), endpoints=WHOLE, calls=WHOLE),
    "ServiceCall": whole(
        caller=TEXT,
        callee=TEXT,
        kind={"enum": ["service", "host", "elsewhere"]},
        calls=WHOLE,
        errors=WHOLE,
        lastSeen=MOMENT,
    ),
    "Alert": whole(
        id=WHOLE,
        kind={"enum": list(KINDS)},
        severity={"enum": list(SEVERITIES)},
        reason={**TEXT, "description": "In words."},
        endpoint=maybe(WHOLE),
        detail={"type": "object"},
        status={"enum": list(STATUSES)},
        assignee=maybe(TEXT),
        snoozedUntil=maybe(MOMENT),
        count=WHOLE,
        **_SEEN,
    ),
    "SentTrace": some(
        "request response",
        request=some(
            "method url",
            method=TEXT,
            url=some("host path", host=TEXT, path=TEXT, endpointPath=maybe(TEXT), parameters=_PAIRS),
            headers=_PAIRS,
        ),
        response=some("status", status=STATUS, headers=_PAIRS),
        meta=maybe({"type": "object"}),
        sessionMeta=maybe({"type": "object"}),
        analysisType={"enum": ["full", "partial"], "description": "Needed in version 2."},
        processedTraceData=some(
            "", dataTypes=PLACES, sensitiveDataDetected=PLACES, attackDetections=PLACES, block=FLAG, requestTags=NAMES
        ),
        redacted=FLAG,
    ),
    "Aggregates": some(
        "version started ended series actors",
        version={"const": VERSION},
        started=MOMENT,
        ended=MOMENT,
        environment=maybe(TEXT),
        service=maybe(TEXT),
        series={
            "type": "array",
            "items": some(
                "host method status calls blocked requestBytes responseBytes latency authentication source",
                host=TEXT,
                method=TEXT,
                route=maybe(TEXT),
                path=maybe(TEXT),
                status=STATUS,
                requestType=maybe(TEXT),
                responseType=maybe(TEXT),
                authentication={"enum": list(AUTHENTICATIONS)},
                source={"enum": list(SOURCES)},
                calls=WHOLE,
                blocked=WHOLE,
                requestBytes=WHOLE,
                responseBytes=WHOLE,
                latency={"type": "object", "description": "An exponential histogram of microseconds."},
            ),
        },
        actors={
            "type": "array",
            "items": some(
                "kind value calls clientErrors serverErrors blocked",
                kind={"enum": ["address", "session", "user"]},
                value=TEXT,
                **dict.fromkeys(("calls", "clientErrors", "serverErrors", "blocked"), WHOLE),
            ),
        },
    ),
    "Outcome": some(
        "accepted rejected problems",
        accepted=WHOLE,
        rejected=WHOLE,
        problems={"type": "array", "items": whole(index=WHOLE, where=TEXT, reason=TEXT)},
    ),
    "Health": whole(status={"enum": ["ok", "failing"]}, checks={"type": "object", "additionalProperties": TEXT}),
}
