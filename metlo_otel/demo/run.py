"""Running the demo: everything on the loopback and in a temporary directory, ended and removed in every case."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from metlo_otel.collector.dashboard.passwords import make_password
from metlo_otel.collector.keys import make_key
from metlo_otel.collector.server import RunningCollector
from metlo_otel.demo.child import ChildError, Shop
from metlo_otel.demo.ending import Ending
from metlo_otel.demo.past import configure, describe, lay_out, rehearse
from metlo_otel.demo.table import render
from metlo_otel.demo.visitors import PAUSE, Visitors

_PATIENCE = 30.0  # seconds in which the first trace must land
_SHOWN = 8  # latest traces in the table
_PACE = 0.6  # seconds between two requests of visitors, on average


_TO_TRY = (
    "Attacks: open one, click Block, and see 203.0.113.66 being rejected.",
    "Alerts: pay.example gives the cards of its customers to who is not logged in. Which endpoint, which field?",
    "Specs: release 2 of the shop has changed its prices. What breaks for its clients?",
)


class DemoError(Exception):
    """The demo does not work; the text says what is missing."""


def run(once: bool = False, patience: float = _PATIENCE) -> int:
    """Run until Ctrl-C, or with `once` until as many traces landed as the table shows. Returns the exit code.

    Where nothing landed within `patience` seconds it says why and returns 1.
    """
    console = Console()
    logging.getLogger("metlo_otel").addHandler(logging.NullHandler())  # alerts are on the dashboard
    try:
        with Ending() as ending, _world(ending, once) as watch:
            if not once:  # there is nothing at them any more when this can be read
                console.print(watch.addresses(), soft_wrap=True)
            awaited = _SHOWN if once else 1
            if not ending.wait(patience, lambda: len(watch.look()[1]) >= awaited):
                landed = len(watch.look()[1])
                found = f"only {landed} of {awaited} requests" if landed else "nothing"
                raise DemoError(f"{found} reached the collector within {patience:.0f} seconds; {watch.reason()}")
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
        self._collector = collector
        self._shop = shop
        self._visitors = visitors
        self._session = requests.Session()
        self._session.headers["Authorization"] = collector.read_key or ""

    def addresses(self) -> Text:
        """Where everything is, and how to get in."""
        text = Text()
        for name, value in (
            ("Dashboard", f"{self._collector.url}/dashboard/?range=15m"),
            ("Password", self._collector.password or ""),
            ("Shop", self._shop.url),
        ):
            text.append(f"{name:<10}", "bold").append(f"{value}\n")
        text.append("\nThree things to try:\n", "bold")
        for number, what in enumerate(_TO_TRY, 1):
            text.append(f" {number}. {what}\n")
        return text

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
            live.update(Group(watch.addresses(), render(*watch.look())), refresh=True)
            ending.wait(1)


@contextmanager
def _world(ending: Ending, once: bool) -> Iterator[Watch]:
    with tempfile.TemporaryDirectory(prefix="metlo-otel-demo-") as name:
        directory = Path(name)
        past = [] if once else rehearse(directory, ending)
        with RunningCollector(str(directory / "demo.db"), make_key(), make_password(), make_key()) as collector:
            configure(collector.store)
            lay_out(collector.store, past)
            describe(collector.store)
            shop = Shop(collector.url, collector.key, directory, ending, release=2)
            with shop, Visitors(shop.url, shop.payments, pause=PAUSE if once else _PACE) as visitors:
                yield Watch(collector, shop, visitors)
