"""Whatever an app understood was before the rules and the detector: all tricks on every way in, without a server."""

from __future__ import annotations

import gc

import pytest

from tests.differential.guarded import APPS
from tests.differential.in_process import SENDABLE, asking
from tests.differential.judging import judge
from tests.differential.tricks import TRICKS

# Of a broken form Starlette leaves the files open.
pytestmark = pytest.mark.filterwarnings("ignore:Unclosed file <tempfile.Spooled:ResourceWarning")
PLACES = sorted({trick.place for trick in SENDABLE})


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("name", APPS)
def test_what_the_app_understood_was_seen(name: str, place: str) -> None:
    """A rule on what the app understood rejects, detection rejects an understood attack, and harmless values pass."""
    try:
        judge(name, asking(name), [trick for trick in SENDABLE if trick.place == place])
    finally:
        gc.collect()


def test_the_table() -> None:
    """There are tricks for every place, each with a name of its own."""
    assert len({trick.id for trick in TRICKS}) == len(TRICKS) >= 300
