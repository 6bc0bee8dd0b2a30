"""How detection does on sets of others: values, whole requests, places and encodings, padding, and what is innocent.

    python -m benchmarks.detection --sets FOLDER
    python -m benchmarks.detection_sets FOLDER [--half tuning|held-out] [--misses N] [--only NAME]

FOLDER holds `attack_values.json.gz` ({list: {category, values}}), `benign_values.json.gz` ({source: {values}}),
`requests.json.gz` and `benign_requests.json.gz` ({suite: [{method, target, headers, body in base64, positive}]}).
Each set is cut in two by the hash of its rows: what was looked at while writing detection is `tuning`, figures are
those of `held-out`. A request counts as caught only where the look for signs lets it through to the detectors.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import hashlib
import json
import logging
import random
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from metlo_otel.analysis.attacks import Finding, find, inspect
from metlo_otel.analysis.inspection import texts_of
from metlo_otel.analysis.prefilter import Suspicion
from metlo_otel.core.exchange import Exchange
from metlo_otel.core.guard import Guard, RateLimitedLog
from metlo_otel.core.request import ScopeRequest
from metlo_otel.core.settings import Settings
from metlo_otel.reading.fields import read_request
from metlo_otel.reading.record import read_exchange

HALVES = ("tuning", "held-out")
INSPECTED = 262_144  # bytes: MAX_INSPECT of these measurements, more than the longest padding
PADDINGS = (5_000, 16_000, 64_000, 128_000)  # characters before an attack
FLOORS: Mapping[str, float] = {
    "values: COMMAND_EXECUTION": 88,
    "values: DIRECTORY_TRAVERSAL": 97,
    "values: SSTI": 97,
    "values: XXE": 65,
    "padding": 99,
    "values: SQLI": 96,
    "values: XSS": 70,
    "nemesida": 91,
    "gotestwaf": 94,
    "gotestwaf_matrix": 97,
}  # per cent that were reached of the held-out half, rounded down
CEILINGS: Mapping[str, float] = {
    "innocent values": 0.21,
    "innocent values (high)": 0.07,
    "gotestwaf_matrix (innocent)": 0,
    "innocent requests: github_webhooks": 0,
    "innocent requests: openapi_example_bodies": 0,
    "innocent requests: user_agents": 0,
    "innocent requests: referers": 0,
    "innocent requests: sentry": 0,
    "innocent requests: cookies": 0,
    "innocent requests: forms_prose": 0,
}  # what is mistaken of values with high confidence is GraphQL's introspection, rightly reported

Said = list[Finding]
Measured = tuple[str, str, Said]
"""A set's group, what is shown of a row, and what was found in it."""


def main() -> None:
    """Print the rates; end with 1 where one is below its floor."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--half", choices=HALVES, default="held-out")
    parser.add_argument("--misses", type=int, default=0, help="print so many rows of each group that went wrong")
    parser.add_argument("--only", default="", help="the groups whose name holds this")
    options = parser.parse_args()
    worse = measure(options.folder, options.half, options.misses, options.only)
    if options.half == "held-out" and not options.only and worse:
        sys.exit(1)


def measure(folder: Path, half: str = "held-out", misses: int = 0, only: str = "") -> list[str]:
    """Print all rates, of the groups whose name holds `only`; those that are worse than what was reached, in words."""
    report = Report(misses)
    for title, rows, benign in sets(folder, half):
        report.add(title, (row for row in rows if only in f"{title} {row[0]}"), benign)
    return report.worse()


class Report:
    """The rates, as they are printed, and those that are not what they were."""

    def __init__(self, misses: int) -> None:
        self._misses = misses
        self._rates: dict[str, float] = {}

    def add(self, title: str, rows: Iterable[Measured], benign: bool) -> None:
        """Print the rate of a set, and of each group in it."""
        groups: dict[str, list[tuple[str, Said]]] = defaultdict(list)
        for group, shown, said in rows:
            groups[group].append((shown, said))
        if not groups:
            return
        print(f"{title} ({'mistaken' if benign else 'caught'}, of it with high confidence):")
        for group in sorted(groups):
            self._group(title, group, groups[group], benign)
        self._line(title, [row for listed in groups.values() for row in listed])

    def _group(self, title: str, group: str, rows: list[tuple[str, Said]], benign: bool) -> None:
        wrong = [(shown, said) for shown, said in rows if bool(said) == benign]
        if not benign or wrong:
            self._line(f"{title}: {group}", rows)
        for shown, said in wrong[: self._misses]:
            told = " ".join(f"{each.category}/{each.confidence}" for each in said)
            print(f"        {told} {shown[:300]!r}")

    def _line(self, name: str, rows: list[tuple[str, Said]]) -> None:
        caught = 100 * sum(bool(said) for _, said in rows) / len(rows)
        certain = 100 * sum(any(each.confidence == "high" for each in said) for _, said in rows) / len(rows)
        self._rates[name], self._rates[f"{name} (high)"] = caught, certain
        print(f"  {name:50} {caught:7.2f} % ({certain:6.2f} %) of {len(rows)}")

    def worse(self) -> list[str]:
        """The rates that are worse than what was reached, each of which is printed; one that is not there is, too."""
        found = [f"{name}: at least {floor} %" for name, floor in FLOORS.items() if self._rates.get(name, 0) < floor]
        found += [f"{name}: at most {most} %" for name, most in CEILINGS.items() if self._rates.get(name, 100) > most]
        for each in found:
            print(f"worse than it was: {each}")
        return found


def sets(folder: Path, half: str) -> Iterator[tuple[str, Iterator[Measured], bool]]:
    """Title, rows and whether they are innocent, of each set."""
    attacks = _load(folder, "attack_values")
    yield "values", _values(attacks, half), False
    yield "padding", _padded(attacks, half), False
    for suite, rows in _load(folder, "requests").items():
        for benign in (False, True):
            listed = [row for row in rows if row["positive"] != benign]
            yield f"{suite}{' (innocent)' if benign else ''}", _requests(listed, half), benign
    yield "innocent values", _innocent(_load(folder, "benign_values"), half), True
    for source, rows in _load(folder, "benign_requests").items():
        yield f"innocent requests: {source}", _requests(rows, half), True


def _load(folder: Path, name: str) -> Any:
    with gzip.open(folder / f"{name}.json.gz") as file:
        return json.load(file)


def in_half(half: str, row: object) -> bool:
    """Whether a row is of that half, by its hash."""
    text = json.dumps(row, sort_keys=True).encode()
    return HALVES[hashlib.sha256(text).digest()[7] & 1] == half


def _values(lists: Mapping[str, Any], half: str) -> Iterator[Measured]:
    for listed in lists.values():
        for value in listed["values"]:
            if in_half(half, value):
                yield listed["category"], value, list(inspect(value))


def _innocent(sources: Mapping[str, Any], half: str) -> Iterator[Measured]:
    for source, listed in sources.items():
        for value in listed["values"]:
            if in_half(half, value):
                yield source, value, list(inspect(value))


def _padded(lists: Mapping[str, Any], half: str) -> Iterator[Measured]:
    """What is certain by itself, behind padding, as a field of a form and of JSON."""
    chosen = random.Random(1)
    for listed in lists.values():
        for value in listed["values"]:
            if in_half(half, value) and chosen.random() < 0.03 and _is_certain(inspect(value)):
                for length in PADDINGS:
                    yield f"{length} characters", value, requested(_form({"a": "A" * length, "b": value}))
                    yield f"{length} characters, same value", value, requested(_form({"a": "A" * length + " " + value}))


def _is_certain(said: Iterable[Finding]) -> bool:
    return any(each.confidence == "high" for each in said)


def _form(fields: Mapping[str, str]) -> dict[str, Any]:
    body = "&".join(f"{name}={quote(value, safe='', errors='replace')}" for name, value in fields.items())
    return {
        "method": "POST",
        "target": "/",
        "headers": [["Content-Type", "application/x-www-form-urlencoded"]],
        "body": base64.b64encode(body.encode()).decode(),
    }


def _requests(rows: Iterable[dict[str, Any]], half: str) -> Iterator[Measured]:
    for row in rows:
        if in_half(half, row):
            group = " ".join(str(row[name]) for name in ("source", "encoder", "zone") if row.get(name))
            shown = f"{row['method']} {row['target']} {_odd_headers(row)} {base64.b64decode(row['body'])[:400]!r}"
            yield group, shown, requested(row)


def _odd_headers(row: Mapping[str, Any]) -> dict[str, str]:
    usual = ("Accept", "Host", "Content-Type")
    return {
        name: value
        for name, value in row["headers"]
        if name not in usual and not value.startswith("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, ")
    }


def requested(row: Mapping[str, Any]) -> Said:
    """What is found in a request, first looked at for signs as each request is."""
    exchange = _exchange(row)
    if not _suspicion(exchange):
        return []
    record = read_exchange(exchange, _settings, _guard)
    read = read_request(record, limit=INSPECTED)
    return list(dict.fromkeys(finding for _, finding in find(texts_of(record, read))))


def _exchange(row: Mapping[str, Any]) -> Exchange:
    path, _, query = row["target"].partition("?")
    scope = {
        "type": "http",
        "method": row["method"],
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [
            (name.lower().encode("latin-1", "replace"), value.encode("utf-8", "replace"))
            for name, value in row["headers"]
        ],
        "http_version": "1.1",
    }
    exchange = Exchange(ScopeRequest(scope), INSPECTED)
    exchange.request_body.add(base64.b64decode(row["body"]))
    return exchange


_suspicion: Callable[[Exchange], bool] = Suspicion(True)
_settings = Settings(max_inspect=INSPECTED)
_guard = Guard(RateLimitedLog(logging.getLogger("benchmark")))


if __name__ == "__main__":
    main()
