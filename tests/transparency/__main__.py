"""`python -m tests.transparency`: every suite, plain and with the agent in each mode and position, as a table.

    python -m tests.transparency                        all of them; what was done before is not done again
    python -m tests.transparency flask django           these suites
    python -m tests.transparency --positions first last --modes active
    python -m tests.transparency --fresh                with nothing kept from earlier runs

Two suites run at a time. The exit status is 1 where there is a difference that nobody has explained.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor

from tests.transparency.comparing import Difference, compare
from tests.transparency.prepare import UnavailableError, install_servers, prepare
from tests.transparency.running import Run, seconds
from tests.transparency.suites import FOLDER, MODES, SUITES, Suite

_AT_A_TIME = 2


def main() -> int:
    """Run what is asked for; the exit status."""
    asked = _arguments()
    suites = [SUITES[name] for name in asked.suites or SUITES]
    if asked.fresh:
        shutil.rmtree(FOLDER / "outcomes", ignore_errors=True)
    try:
        prepare(suites)
    except UnavailableError as problem:
        print(f"SKIPPED: the suites cannot be had here: {problem}")
        return 0
    for missing in install_servers():
        print(f"SKIPPED: the wire of {missing}")
    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        found = [item for items in pool.map(lambda suite: _suite(suite, asked), suites) for item in items]
    return _conclude(found)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.transparency")
    parser.add_argument("suites", nargs="*", choices=[[], *SUITES], metavar="SUITE", help=", ".join(SUITES))
    parser.add_argument("--positions", nargs="*", default=[])
    parser.add_argument("--modes", nargs="*", default=list(MODES))
    parser.add_argument("--fresh", action="store_true")
    return parser.parse_args()


def _suite(suite: Suite, asked: argparse.Namespace) -> list[Difference]:
    found: list[Difference] = []
    for position in suite.positions:
        for mode in asked.modes:
            if not asked.positions or position in asked.positions:
                run = Run(suite, mode, position)
                count, differing = compare(run)
                found += differing
                explained = sum(bool(item.reason) for item in differing)
                name = f"{suite.name} {suite.release}"
                faults = len(differing) - explained
                print(
                    f"| {name} | {mode} | {position} | {count} | {explained} | {faults} | {seconds(run):.0f} s |",
                    flush=True,
                )
    return found


def _conclude(found: list[Difference]) -> int:
    for item in sorted(found, key=lambda item: (bool(item.reason), item.run.name)):
        print("explained:" if item.reason else "FAULT:", item)
    return int(any(not item.reason for item in found))


if __name__ == "__main__":
    sys.exit(main())
