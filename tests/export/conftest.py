"""A loopback collector, settings that point to it, and exchanges to send."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import pytest

from metlo_otel.analysis.suspicion import Suspicion
from metlo_otel.core.exchange import Exchange
from metlo_otel.core.guard import RateLimitedLog
from metlo_otel.core.settings import Settings, read_settings
from metlo_otel.export.pipeline import Pipeline
from metlo_otel.exporter import open_pipeline
from tests.export.exchanges import wsgi_exchange
from tests.export.loopback import Metlo

hypothesis.settings.register_profile("unhurried", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("unhurried")

KEY = "key-that-nobody-may-see"


@pytest.fixture
def metlo() -> Iterator[Metlo]:
    """A collector that listens."""
    server = Metlo()
    yield server
    server.close()


@pytest.fixture
def settings(metlo: Metlo) -> Callable[..., Settings]:
    """Settings for that collector, with more on top."""
    given = {"api_key": KEY, "metlo_host": metlo.url, "config_cache": "off"}  # ports come again, and caches with them
    return lambda **more: read_settings({**given, **more}, {})


@pytest.fixture
def log() -> RateLimitedLog:
    """The package's logger, as the agent makes it."""
    return RateLimitedLog(logging.getLogger("metlo_otel"))


@pytest.fixture
def pipeline(settings: Callable[..., Settings], log: RateLimitedLog) -> Iterator[Callable[..., Pipeline]]:
    """Makes pipelines with these settings; stops them in the end."""
    made: list[Pipeline] = []

    def make(seams: Any = None, on_change: Any = None, **more: Any) -> Pipeline:
        suspicion = Suspicion(True)
        made.append(open_pipeline(settings(**more), log, seams, on_change, suspects=suspicion, among=suspicion.among))
        return made[-1]

    yield make
    for item in made:
        item.shutdown(0)


@pytest.fixture
def exchange() -> Callable[..., Exchange]:
    """Makes closed exchanges."""
    return wsgi_exchange
