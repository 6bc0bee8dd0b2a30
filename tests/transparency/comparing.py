"""A suite's runs with the agent held against the plain one: every difference is explained, or is a fault."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from tests.transparency.explained import EXPLAINED, Explained
from tests.transparency.running import Outcome, Run, outcomes, some

MISSING = Outcome("missing", "not run, or the run ended before")
_MOST_AGAIN = 60  # tests that are run once more: more do not differ by chance


@dataclass(frozen=True)
class Difference:
    """A test that ends otherwise with the agent, in each of two tries."""

    run: Run
    test: str
    plain: Outcome
    ours: Outcome

    @property
    def reason(self) -> str:
        """Why that is right; empty where it is a fault."""
        return next((item.reason for item in EXPLAINED if applies(item, self)), "")

    def __str__(self) -> str:
        why = self.reason or self.ours.why.splitlines()[-1:] or ""
        return f"{self.run.name}: {self.test}: {self.plain.ended} plain, {self.ours.ended} with us: {why}"


def applies(item: Explained, difference: Difference) -> bool:
    """Whether `item` explains `difference`."""
    run = difference.run
    where = (
        run.suite.name == item.suite
        and item.mode in ("", run.mode)
        and run.position in (item.positions or (run.position,))
    )
    return where and fnmatchcase(difference.test, item.test)


def compare(run: Run, kept: bool = True) -> tuple[int, list[Difference]]:
    """How many tests were run in `run`, and which end otherwise than plain.

    A test that differs is run once more, plain and with us: what ends the same way then is of the test's own making.
    Runs of ours that were done before are not done again where `kept`.
    """
    plain, ours = outcomes(Run(run.suite, tests=run.tests)), outcomes(run, kept)
    differing = _differing(run, plain, ours)
    if 0 < len(differing) <= _MOST_AGAIN:
        names = [item.test for item in differing]
        plain_again = outcomes(some(Run(run.suite), names, 1), kept)
        ours_again = outcomes(some(run, names, 1), kept)
        differing = _differing(run, plain_again, ours_again)
    return len(ours), differing


def _differing(run: Run, plain: dict[str, Outcome], ours: dict[str, Outcome]) -> list[Difference]:
    found = []
    for test in {**plain, **ours}:
        before, after = plain.get(test, MISSING), ours.get(test, MISSING)
        if before.ended != after.ended:
            found.append(Difference(run, test, before, after))
    return found
