"""Findings in ArcSight's Common Event Format (version 0, "Implementing ArcSight CEF", revision 25)."""

from __future__ import annotations

import ipaddress

from metlo_otel.collector.siem.findings import Finding
from metlo_otel.core.version import __version__

_SEVERITIES = {"low": 3, "medium": 6, "high": 8}
_LONGEST = 1023  # characters of one value


def cef(finding: Finding) -> str:
    """One line."""
    signature = finding.category or finding.kind
    severity = str(_SEVERITIES.get(finding.severity, 5))
    header = ("CEF:0", "metlo-otel", "collector", __version__, signature, finding.title, severity)
    return "|".join(map(_in_header, header)) + "|" + " ".join(_extension(finding))


def _extension(finding: Finding) -> list[str]:
    pairs = {
        "rt": str(finding.at),
        "externalId": f"{finding.kind}-{finding.id}",
        "cat": finding.kind,
        **_source(finding.source),
        "suser": finding.user,
        "dhost": finding.host,
        "requestMethod": finding.method,
        "request": finding.path,
        "act": "blocked" if finding.blocked else "allowed",
        "outcome": str(finding.status) if finding.status else None,
        **_labelled("cs1", "Field", finding.field),
        **_labelled("cs2", "Rule", finding.rule),
        **_labelled("cs3", "Trace id", finding.trace_id),
        **_labelled("cs4", "Session", finding.session),
        **_labelled("cs5", "Confidence", finding.confidence),
    }
    return [f"{name}={_in_extension(value)}" for name, value in pairs.items() if value]


def _source(address: str | None) -> dict[str, str | None]:
    """`src` is an address of IPv4; one of IPv6 has a field of its own, anything else is a name."""
    try:
        version = ipaddress.ip_address(address or "").version
    except ValueError:
        return {"shost": address}
    return {"src": address} if version == 4 else _labelled("c6a2", "Source IPv6 Address", address)


def _labelled(name: str, label: str, value: str | None) -> dict[str, str | None]:
    return {name: value, name + "Label": label} if value else {}


def _in_header(text: str) -> str:
    return _printable(text).replace("\\", "\\\\").replace("|", "\\|")


def _in_extension(text: str) -> str:
    return _printable(text[:_LONGEST]).replace("\\", "\\\\").replace("=", "\\=")


def _printable(text: str) -> str:
    """Without what would begin another line, or change how one is shown."""
    return "".join(char if char.isprintable() else " " for char in text)
