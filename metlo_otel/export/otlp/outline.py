"""What may leave of an exchange by OTLP: its outline, as on Metlo's wire, and what SPAN_ATTRIBUTES asks for beside."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan

from metlo_otel.export.spans import ExchangeSpan
from metlo_otel.export.wire import sendable_path

_HEADERS = ("http.request.header.", "http.response.header.")
_CONTENT = ("url.query", "http.request.body.content", "http.response.body.content")
_NEVER = ("metlo.request.header_names", "metlo.response.header_names")
_LONGEST = 16 * 1024  # characters of one value

Keep = Callable[[str], bool]


def kept(span_attributes: str) -> Keep:
    """Which attributes leave under a value of SPAN_ATTRIBUTES: no values of parameters, headers, bodies or users by
    default.
    """
    with_headers, with_bodies = span_attributes in ("headers", "bodies"), span_attributes == "bodies"

    def keep(name: str) -> bool:
        if name.startswith(_HEADERS) or name == "user.id":
            return with_headers
        return with_bodies if name in _CONTENT else name not in _NEVER

    return keep


def attributes_of(span: ExchangeSpan, keep: Keep) -> dict[str, Any]:
    """The attributes of an exchange that leave, within bounds."""
    found = {name: value for name, value in span.attributes.items() if keep(name)}
    found["url.path"] = sendable_path(span.record.path)
    cut = {name: value[:_LONGEST] for name, value in found.items() if isinstance(value, str) and len(value) > _LONGEST}
    return {**found, **cut}


def outline(span: ExchangeSpan, attributes: dict[str, Any], resource: Resource) -> ReadableSpan:
    """A span with these attributes, and what was found by its name alone."""
    found = span.processed
    told = {
        "metlo.attack.types": sorted({name for names in found.attacks.values() for name in names}),
        "metlo.data.classes": sorted({name for names in found.sensitive.values() for name in names}),
    }
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=resource,
        attributes={**attributes, **{name: tuple(names) for name, names in told.items() if names}},
        kind=span.kind,
        status=span.status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )
