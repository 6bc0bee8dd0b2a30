"""A collector with a dashboard that runs, and somebody who is logged in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from metlo_otel.collector.server import RunningCollector
from tests.collector.client import KEY, READ_KEY, Client
from tests.collector.kept import started_before
from tests.dashboard.browser import PASSWORD, Browser


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[RunningCollector]:
    with RunningCollector(started_before(tmp_path), KEY, read_key=READ_KEY) as running:
        yield running


@pytest.fixture(scope="session")
def still(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCollector]:
    """One for all tests that change nothing, with nothing stored."""
    with RunningCollector(str(tmp_path_factory.mktemp("still") / "test.db"), KEY, PASSWORD, READ_KEY) as running:
        yield running


@pytest.fixture(scope="session")
def entered(still: RunningCollector) -> Iterator[Browser]:
    browser = Browser(still.url)
    with browser.session:
        assert browser.log_in().status_code == 303
        yield browser


@pytest.fixture
def reader(still: RunningCollector, entered: Browser) -> Iterator[Browser]:
    """A browser that is logged in where nothing is stored and nothing may be changed."""
    browser = Browser(still.url)
    browser.session.cookies.update(entered.session.cookies)
    with browser.session:
        yield browser


@pytest.fixture
def stranger(collector: RunningCollector) -> Iterator[Browser]:
    """A browser that is not logged in."""
    browser = Browser(collector.url)
    with browser.session:
        yield browser


@pytest.fixture
def browser(collector: RunningCollector) -> Iterator[Browser]:
    """A browser that is logged in."""
    browser = Browser(collector.url)
    with browser.session:
        assert browser.log_in().status_code == 303
        yield browser


@pytest.fixture
def agent(collector: RunningCollector) -> Iterator[Client]:
    """Who sends traces."""
    client = Client(collector.url)
    with client.session:
        yield client
