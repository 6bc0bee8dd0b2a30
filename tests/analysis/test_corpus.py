"""Detection on the corpus of the benchmark: what was reached stays reached."""

from __future__ import annotations

import base64
from collections import defaultdict
from urllib.parse import quote

import pytest

from benchmarks.detection import CORPUS, from_folder, from_headers
from metlo_otel.analysis.attacks import detect, inspect

FOLDERS = (CORPUS, CORPUS / "later")
BENIGN = sorted({value for folder in FOLDERS for kind, value in from_folder(folder) if kind == "benign"})
HEADERS = list(from_headers(CORPUS / "headers.txt"))
LEAST = {
    "SQLI": 0.97, "XSS": 0.99, "DIRECTORY_TRAVERSAL": 0.98, "COMMAND_EXECUTION": 0.93, "NOSQLI": 0.95, "SSTI": 0.95,
    "XXE": 1, "LDAP_INJECTION": 0.9, "LOG4SHELL": 1, "CRLF": 0.9, "SSRF": 1,
}  # fmt: skip


def test_benign_values_pass() -> None:
    """None of the look-alikes is taken for an attack, neither as it is nor as a browser sends it."""
    assert [value for value in BENIGN if inspect(value)] == []
    assert [value for value in BENIGN if "%" not in value and inspect(quote(value))] == []


def test_benign_headers_pass() -> None:
    """Nothing that browsers, apps, tools and proxies send in a header is taken for an attack."""
    assert [(name, value) for name, value in HEADERS if detect([(f"reqHeaders.{name}", value)])] == []


@pytest.mark.parametrize("category", LEAST)
def test_attacks_are_found(category: str) -> None:
    """Of each category the share that was reached, at least."""
    found = [
        any(finding.category == category for finding in inspect(value))
        for folder in FOLDERS
        for kind, value in from_folder(folder)
        if kind == category
    ]
    assert sum(found) / len(found) >= LEAST[category]


def test_encodings_do_not_hide() -> None:
    """What is certain in clear is found percent-encoded, twice percent-encoded, as entities, as escapes, in base64."""
    lost = defaultdict(list)
    for kind, value in from_folder(CORPUS):
        if kind == "benign" or not value.isascii() or set("%&\\+") & set(value):
            continue
        if any(finding.category == kind and finding.confidence == "high" for finding in inspect(value)):
            for way, hidden in _hidden(value):
                if kind not in {finding.category for finding in inspect(hidden)}:
                    lost[way].append(value)
    assert {way: len(values) for way, values in lost.items() if len(values) > 5} == {}, lost


def _hidden(value: str) -> list[tuple[str, str]]:
    ways = [
        ("percent", quote(value, safe="")),
        ("percent twice", quote(quote(value, safe=""), safe="")),
        ("entities", "".join(f"&#{ord(sign)};" for sign in value)),
        ("escapes", "".join(sign if sign.isalnum() else f"\\u{ord(sign):04x}" for sign in value)),
    ]
    if len(value) >= 16:
        ways.append(("base64", base64.b64encode(value.encode()).decode()))
    return ways
