"""Running the demo: everything on the loopback and in a temporary directory, ended and removed in every case."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from rich.console import Console
from rich.live import Live

from metlo_otel.collector.keys import make_key
from metlo_otel.collector.server import RunningCollector
from metlo_otel.demo.child import ChildError, Shop
from metlo_otel.demo.ending import Ending
from metlo_otel.demo.table import render
from metlo_otel.demo.visitors import Visitors

_PATIENCE = 30.0  # seconds in which the first trace must land
_SHOWN = 8  # latest traces in the table


class DemoError(Exception):
    """The demo does not work; the text says what is missing."""


def run(once: bool = False, patience: float = _PATIENCE) -> int:
    """Run until Ctrl-C, or with `once` until the first traces landed. Returns the exit code.

    Where nothing landed within `patience` seconds it says why and returns 1.
    """
    console = Console()
    try:
        with Ending() as ending, _world(ending) as watch:
            if not ending.wait(patience, lambda: bool(watch.look()[0])):
                raise DemoError(f"nothing reached the collector within {patience:.0f} seconds; {watch.reason()}")
            if once:
                console.print(render(*watch.look()))
            else:
                _show(console, watch, ending)
    except (ChildError, DemoError) as problem:
        Console(stderr=True).print(f"metlo-otel demo: {problem}", markup=False, highlight=False)
        return 1
    except KeyboardInterrupt:
        return 130 if once else 0
    return 0


class Watch:
    """Looks at the collector through its API, as anybody can."""

    def __init__(self, collector: RunningCollector, shop: Shop, visitors: Visitors) -> None:
        self._url = collector.url + "/api/v1/"
        self._shop = shop
        self._visitors = visitors
        self._session = requests.Session()
        self._session.headers["Authorization"] = collector.key

    def look(self) -> tuple[list[Any], list[Any]]:
        """The endpoints and the latest traces. Raises DemoError where the shop is not alive any more."""
        if self._shop.ended:
            raise DemoError(f"the sample shop ended by itself:\n{self._shop.said()}")
        if self._visitors.problem is not None:
            raise DemoError(f"the sample shop does not answer its visitors: {self._visitors.problem}")
        return self._list("endpoints", 200), self._list("traces", _SHOWN)

    def reason(self) -> str:
        """What the shop's process has to say."""
        return self._shop.said() or "the shop's process reported no error"

    def _list(self, what: str, limit: int) -> list[Any]:
        answer = self._session.get(self._url + what, params={"limit": limit}, timeout=10)
        answer.raise_for_status()
        items: list[Any] = answer.json()["items"]
        return items


def _show(console: Console, watch: Watch, ending: Ending) -> None:
    with Live(console=console, auto_refresh=False, screen=console.is_terminal) as live:
        while True:
            live.update(render(*watch.look()), refresh=True)
            ending.wait(1)


@contextmanager
def _world(ending: Ending) -> Iterator[Watch]:
    with tempfile.TemporaryDirectory(prefix="metlo-otel-demo-") as name:
        directory = Path(name)
        with RunningCollector(str(directory / "demo.db"), make_key()) as collector:
            collector.store.configure("globalFullTraceCapture", True)
            with Shop(collector.url, collector.key, directory, ending) as shop, Visitors(shop.url) as visitors:
                yield Watch(collector, shop, visitors)
