"""A sample of the frameworks' own tests, with the agent in every app: each ends as it does without."""

from __future__ import annotations

import pytest

from tests.transparency.comparing import compare
from tests.transparency.prepare import UnavailableError, prepare
from tests.transparency.running import Run
from tests.transparency.suites import SUITES

pytestmark = pytest.mark.live

_SAMPLES = (("flask", "extension"), ("starlette", "first"), ("django", "middle"), ("fastapi", "last"))


@pytest.fixture(scope="module", autouse=True)
def prepared() -> None:
    """The suites and their environment, from an earlier run as a rule."""
    try:
        prepare([SUITES[name] for name, _ in _SAMPLES])
    except UnavailableError as problem:
        pytest.skip(f"the frameworks' suites cannot be had here: {problem}")


@pytest.mark.parametrize(("name", "position"), _SAMPLES)
def test_framework_s_own_tests(name: str, position: str) -> None:
    """With a rule on bodies and DETECTION="block", every test of the sample ends as plain, or it is said why not."""
    suite = SUITES[name]
    count, differing = compare(Run(suite, "active", position, suite.sample), kept=False)
    assert count > 20
    assert [str(item) for item in differing if not item.reason] == []
