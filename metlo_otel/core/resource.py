"""What OpenTelemetry's variables say of the app: its service and its environment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import unquote

SERVICE, ATTRIBUTES = "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"
_ENVIRONMENTS = ("deployment.environment", "deployment.environment.name")  # the later one is the newer name


def resource_given(environ: Mapping[str, str]) -> Iterator[tuple[str, tuple[str, str]]]:
    """`service_name` and `environment`, each with the variable that says it and the value, of those that are said.

    OTEL_SERVICE_NAME wins over `service.name`, as OpenTelemetry's specification (Resource SDK) has it.
    """
    told = _attributes(environ.get(ATTRIBUTES, ""))
    for name in _ENVIRONMENTS:
        if told.get(name):
            yield "environment", (ATTRIBUTES, told[name])
    if service := environ.get(SERVICE, "").strip():
        yield "service_name", (SERVICE, service)
    elif told.get("service.name"):
        yield "service_name", (ATTRIBUTES, told["service.name"])


def _attributes(text: str) -> dict[str, str]:
    """`name=value,name=value`, values percent-encoded; what is no pair is passed over, as OpenTelemetry's SDK does."""
    pairs = (part.partition("=") for part in text.split(","))
    return {name.strip(): unquote(value.strip()).strip() for name, equals, value in pairs if equals}
