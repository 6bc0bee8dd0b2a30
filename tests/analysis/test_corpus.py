"""Detection on the corpus of the benchmark: what was reached stays reached."""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from benchmarks.detection import CORPUS, from_folder, from_headers
from metlo_otel.analysis.attack_values import tells as tells_anything
from metlo_otel.analysis.attacks import detect, inspect
from metlo_otel.analysis.detectors import documents, nosql, shell, shell_signs, sql, sql_signs, templates, xss
from metlo_otel.analysis.detectors.telling import words
from tests.analysis.attack_samples import ATTACKS, ORDINARY

FOLDERS = (CORPUS, CORPUS / "later", CORPUS / "third")
BENIGN = sorted({value for folder in FOLDERS for kind, value in from_folder(folder) if kind == "benign"})
HEADERS = list(from_headers(CORPUS / "headers.txt"))
DETECTORS = (
    (sql, sql_signs.tells),
    (xss, xss.tells),
    (shell, shell_signs.tells),
    (templates, templates.tells),
    (documents, documents.tells),
    (nosql, nosql.tells),
)
LEAST = {
    "SQLI": 0.97, "XSS": 0.99, "DIRECTORY_TRAVERSAL": 0.98, "COMMAND_EXECUTION": 0.93, "NOSQLI": 0.95, "SSTI": 0.95,
    "XXE": 1, "LDAP_INJECTION": 0.9, "LOG4SHELL": 1, "CRLF": 0.9, "SSRF": 1,
    "NULL_BYTES": 0.86, "GRAPHQL_INTROSPECTION": 1,
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


def test_what_tells_nothing_holds_nothing() -> None:
    """A text without a telling word or sign may be let through: no detector would find anything in it.

    Held for all texts of the corpus and of the samples, whole, cut in two, and without one of their words.
    """
    told = 0
    for text in _pieces():
        lower = text.lower()
        said = words(lower)
        for detector, tells in DETECTORS:
            if not tells(lower, said) and not detector.MARKS.isdisjoint(text):
                assert list(detector.find(text, lower, said)) == [], (detector.__name__, text)
            elif not detector.MARKS.isdisjoint(text):
                told += 1
                assert tells_anything(lower, said), text
    assert told > 1000


def _pieces() -> Iterator[str]:
    folders = {value for folder in FOLDERS for _, value in from_folder(folder)}
    for text in sorted({*folders, *ORDINARY, *(payload for payloads in ATTACKS.values() for payload in payloads)}):
        parts = text.split(" ")
        middle = len(parts) // 2
        yield from {
            text,
            text[: len(text) // 2],
            text[len(text) // 2 :],
            " ".join(parts[:middle] + parts[middle + 1 :]),
        }
