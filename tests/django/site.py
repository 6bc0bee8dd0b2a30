"""A Django site for one test: middlewares, routes and settings of its own, served as a server would."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.core.handlers.asgi import ASGIHandler
from django.core.handlers.wsgi import WSGIHandler
from django.test.utils import override_settings

import metlo_otel.django
from metlo_otel.agent import Agent
from metlo_otel.core.settings import read_settings
from metlo_otel.testing import MemoryCollector
from tests.contract import asgi_driver, wsgi_driver
from tests.contract.apps import django_site
from tests.contract.http import Answer, Call, get

OURS = "metlo_otel.django.MetloDjango"
HANDLERS = {"wsgi": WSGIHandler, "asgi": ASGIHandler}

django_site.set_up()


class Site:
    """One that is served, and what its agent has told."""

    def __init__(self, interface: str, agent: Agent | None, collector: MemoryCollector) -> None:
        self.handler: Any = HANDLERS[interface]()
        self.interface = interface
        self.collector = collector
        self._agent = agent

    @property
    def agent(self) -> Agent:
        """Its agent."""
        assert self._agent is not None
        return self._agent

    def serve(self, call: Call) -> Answer:
        """What a client gets."""
        driver = wsgi_driver if self.interface == "wsgi" else asgi_driver
        return driver.serve(self.handler, call)  # type: ignore[no-any-return]  # both have it

    def get(self, target: str) -> Answer:
        """What a client gets who asks for `target`."""
        return self.serve(get(target))

    def told(self) -> list[dict[str, Any]]:
        """The traces since the last time."""
        assert self.agent.flush(10.0), self.agent.stats()
        found = list(self.collector.traces)
        self.collector.clear()
        return found


@contextmanager
def site(
    interface: str,
    collector: MemoryCollector,
    urls: str,
    middleware: Sequence[str] = (OURS,),
    config: dict[str, Any] | None = None,
    **about: Any,
) -> Iterator[Site]:
    """A site whose MIDDLEWARE and URLconf these are, until the end of the block."""
    before = set(metlo_otel.django._AGENTS)
    told = {"METLO_HOST": collector.url, "API_KEY": collector.api_key, "MASKED_FIELDS": [], **(config or {})}
    with override_settings(MIDDLEWARE=list(middleware), ROOT_URLCONF=urls, METLO_CONFIG=told, **about):
        made = Site(interface, None, collector)
        made._agent = metlo_otel.django._AGENTS.get(read_settings(told))
        try:
            yield made
        finally:
            for settings in metlo_otel.django._AGENTS.keys() - before:
                metlo_otel.django._AGENTS.pop(settings).shutdown(1.0)
