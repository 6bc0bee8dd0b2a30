"""Whatever an app understood was before the rules and the detector, over real servers and their parsers.

All servers and tricks where METLO_DIFFERENTIAL is `all` (`make differential`); else two servers, and the tricks that
servers read themselves.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from tests.differential.judging import judge
from tests.differential.servers import KINDS, Kind, Running
from tests.differential.tricks import TRICKS

pytestmark = pytest.mark.live
ALL = os.environ.get("METLO_DIFFERENTIAL") == "all"
_HEADS = ("path", "method", "header", "transfer")
_FEW = ("gunicorn-flask", "uvicorn-httptools-fastapi")
PLACES = sorted({trick.place for trick in TRICKS if ALL or trick.place in _HEADS})


@pytest.fixture(scope="module")
def start() -> Iterator[Callable[[Kind], Running]]:
    """Starts a server once."""
    running: dict[str, Running] = {}

    def started(kind: Kind) -> Running:
        if kind.name not in running:
            running[kind.name] = Running(kind)
        return running[kind.name]

    yield started
    for server in running.values():
        server.end()


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", [kind for kind in KINDS if ALL or kind.name in _FEW], ids=lambda kind: kind.name)
def test_what_the_app_understood_was_seen(start: Callable[[Kind], Running], kind: Kind, place: str) -> None:
    """A rule on what the app understood rejects, detection rejects an understood attack, and harmless values pass."""
    server = start(kind)
    tricks = [trick for trick in kind.tricks(TRICKS) if trick.place == place]
    judge(kind.app, server.ask, tricks, strict=False)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if ALL or kind.name in _FEW], ids=lambda kind: kind.name)
def test_most_tricks_are_understood(start: Callable[[Kind], Running], kind: Kind) -> None:
    """The comparison compares: a server and app that understand nothing would pass it all."""
    server = start(kind)
    plain = [trick for trick in TRICKS if trick.name == "plain"]
    for trick in plain:
        message = trick.build(trick.values[1])
        assert server.ask(message, False)[0] == server.ask(message, True)[0] == 200, trick.id
        assert server.ask(trick.build(trick.values[0]), True)[0] in (200, 403), trick.id
