"""What is not seen, a line for each trick and kind with the apps: `python -m tests.differential` renews awaited.txt.

With names of servers, or `all`, those are asked, and what they show is printed.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from tests.differential.guarded import APPS
from tests.differential.in_process import SENDABLE, asking
from tests.differential.judging import AWAITED, Ask, misses
from tests.differential.message import Trick
from tests.differential.servers import KINDS, Running
from tests.differential.tricks import TRICKS

Missed = dict[tuple[str, str], list[str]]


def main() -> None:
    """Ask the pairs in process, or servers."""
    names = sys.argv[1:]
    if not names:
        told = _lines((app, asking(app), SENDABLE, 1) for app in APPS)
        AWAITED.write_text("".join(told))
        return
    sys.stdout.writelines(_lines(_servers(names)))


def _servers(names: list[str]) -> Iterator[tuple[str, Ask, Iterable[Trick], int]]:
    for kind in KINDS:
        if kind.name in names or "all" in names:
            server = Running(kind)
            yield kind.name, server.ask, kind.tricks(TRICKS), 4
            server.end()


def _lines(pairs: Iterable[tuple[str, Ask, Iterable[Trick], int]]) -> list[str]:
    found: Missed = defaultdict(list)
    for name, ask, tricks, threads in pairs:
        listed = list(tricks)
        with ThreadPoolExecutor(threads) as pool:
            for trick, kinds in zip(listed, pool.map(lambda trick, ask=ask: misses(ask, trick), listed), strict=True):
                for kind in kinds:
                    found[trick.id, kind].append(name)
    return [f"{trick} {kind} {' '.join(names)}\n" for (trick, kind), names in sorted(found.items())]


if __name__ == "__main__":
    main()
