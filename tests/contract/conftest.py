"""The ways in as fixtures: one shop a way for the whole run, and shops with settings of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import django
import pytest

import metlo_otel.django
from metlo_otel.testing import MemoryCollector
from tests.contract.apps.script import SCRIPT
from tests.contract.http import get
from tests.contract.shop import FLUSH, Shop
from tests.contract.ways import WAYS, Way

FULL = {"globalFullTraceCapture": True}  # content leaves; in clear, because the collector is on loopback
MakeShop = Callable[..., Shop]


@pytest.fixture(params=WAYS, ids=lambda way: way.name)
def way(request: pytest.FixtureRequest) -> Way:
    """Each way in."""
    found: Way = request.param
    return found


@pytest.fixture(scope="session")
def shops() -> Iterator[dict[str, Shop]]:
    """The shops of this run, each with a collector of its own."""
    made: dict[str, Shop] = {}
    yield made
    for shop in made.values():
        shop.close()
        shop.collector.__exit__(None, None, None)


@pytest.fixture
def shop(way: Way, shops: dict[str, Shop]) -> Shop:
    """The shop under usual settings, on each way in."""
    if way.name not in shops:
        shops[way.name] = Shop(way, MemoryCollector(FULL).__enter__())
    SCRIPT.forget()
    shops[way.name].collector.clear()
    return shops[way.name]


@pytest.fixture
def collector() -> Iterator[MemoryCollector]:
    """A collector for one test."""
    with MemoryCollector(FULL) as collector:
        yield collector


def in_force(shop: Shop) -> Shop:
    """The shop, once the rules that its collector serves are in force: the worker fetches them at the first request."""
    shop.serve(get("/users/7"))
    assert shop.agent.flush(FLUSH), shop.agent.stats()
    assert shop.agent.decides
    shop.collector.clear()
    SCRIPT.forget()
    return shop


@pytest.fixture
def make_shop(way: Way, collector: MemoryCollector) -> Iterator[MakeShop]:
    """Makes shops with other settings for one test, and ends them."""
    SCRIPT.forget()
    made: list[Shop] = []

    def make(to: MemoryCollector | None = None, **options: Any) -> Shop:
        made.append(Shop(way, to or collector, **options))
        return made[-1]

    yield make
    for shop in made:
        shop.close()
    # A later test's collector may get this one's port, and equal settings would share the agent that has ended.
    for settings, agent in list(metlo_otel.django._AGENTS.items()):
        if any(agent is shop._agent for shop in made):
            del metlo_otel.django._AGENTS[settings]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Django before 5.0 does not listen for a client that leaves, so there is nothing to be seen of it under ASGI."""
    if django.VERSION >= (5, 0):
        return
    for item in items:
        if "client_that_leaves" in item.name and ("[django-asgi" in item.name or "[django-async" in item.name):
            item.add_marker(pytest.mark.skip(reason="Django before 5.0 does not listen for clients that leave"))
