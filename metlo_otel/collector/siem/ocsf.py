"""Findings in the Open Cybersecurity Schema Framework, version 1.3.0 (schema.ocsf.io): Detection Finding for attacks
and alerts, API Activity for requests that were blocked.
"""

from __future__ import annotations

from typing import Any

from metlo_otel.collector.siem.findings import Finding
from metlo_otel.core.version import __version__

VERSION = "1.3.0"
DETECTION_FINDING, API_ACTIVITY = 2004, 6003

_SEVERITIES = {"low": (2, "Low"), "medium": (3, "Medium"), "high": (4, "High")}
_ACTIVITIES = {"POST": 1, "GET": 2, "HEAD": 2, "OPTIONS": 2, "PUT": 3, "PATCH": 3, "DELETE": 4}
_ACTIVITY_NAMES = {1: "Create", 2: "Read", 3: "Update", 4: "Delete", 99: "Other"}
_CONFIDENCES = {"low": (1, "Low"), "high": (3, "High")}


def ocsf(finding: Finding) -> dict[str, Any]:
    """The event of a finding."""
    event = _activity(finding) if finding.kind == "block" else _detection(finding)
    return {name: value for name, value in event.items() if value is not None}


def _base(finding: Finding, class_uid: int, activity: int, activity_name: str) -> dict[str, Any]:
    number, severity = _SEVERITIES.get(finding.severity, (0, "Unknown"))
    product = {"name": "metlo-otel", "vendor_name": "metlo-otel", "version": __version__}
    return {
        "class_uid": class_uid,
        "category_uid": class_uid // 1000,
        "activity_id": activity,
        "activity_name": activity_name,
        "type_uid": class_uid * 100 + activity,
        "time": finding.at,
        "severity_id": number,
        "severity": severity,
        "message": finding.title,
        "metadata": {
            "version": VERSION,
            "product": product,
            "uid": f"{finding.kind}-{finding.id}",
            "correlation_uid": finding.trace_id or f"{finding.kind}-{finding.id}",
            "profiles": ["security_control"],
        },
        "action_id": 2 if finding.blocked else 1,
        "action": "Denied" if finding.blocked else "Allowed",
        "disposition_id": 2 if finding.blocked else 1,
        "disposition": "Blocked" if finding.blocked else "Allowed",
    }


def _detection(finding: Finding) -> dict[str, Any]:
    confidence, called = _CONFIDENCES.get(finding.confidence or "", (0, "Unknown"))
    return {
        **_base(finding, DETECTION_FINDING, 1, "Create"),
        "status_id": 1,
        "status": "New",
        "is_alert": True,
        "confidence_id": confidence,
        "confidence": called,
        "finding_info": {
            "uid": f"{finding.kind}-{finding.id}",
            "title": finding.title,
            "types": [finding.category],
            "created_time": finding.at,
        },
        "evidences": [_evidence(finding)],
        "resources": [{"name": finding.host, "type": "API host"}] if finding.host else None,
    }


def _evidence(finding: Finding) -> dict[str, Any]:
    """What it was found in: the request, and the field or the alert's detail."""
    data = {**(finding.detail or {}), **({"field": finding.field} if finding.field else {})}
    found = {
        "api": _api(finding),
        "src_endpoint": {"ip": finding.source} if finding.source else None,
        "actor": _actor(finding),
        "data": data or None,
    }
    return {name: value for name, value in found.items() if value is not None}


def _activity(finding: Finding) -> dict[str, Any]:
    activity = _ACTIVITIES.get(finding.method or "", 99)
    return {
        **_base(finding, API_ACTIVITY, activity, _ACTIVITY_NAMES[activity]),
        "status_id": 2,
        "status": "Failure",
        "status_code": str(finding.status),
        "actor": _actor(finding),
        "api": _api(finding),
        "src_endpoint": {"ip": finding.source} if finding.source else {"name": "unknown"},
        "dst_endpoint": {"hostname": finding.host} if finding.host else None,
        "http_request": {"http_method": finding.method, "url": {"hostname": finding.host, "path": finding.path}},
        "http_response": {"code": finding.status},
        "firewall_rule": {"uid": finding.rule} if finding.rule else None,
    }


def _api(finding: Finding) -> dict[str, Any]:
    return {"operation": f"{finding.method or '*'} {finding.path or '*'}", "service": {"name": finding.host or "*"}}


def _actor(finding: Finding) -> dict[str, Any]:
    if finding.user:
        return {"user": {"name": finding.user}}
    return {"session": {"uid": finding.session}} if finding.session else {"app_name": "unknown"}
