"""What is of the process, not of an app: the worker, its connections, the configuration, and the rules in force."""

from __future__ import annotations

import logging
import os
import time
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from metlo_otel.analysis.inspection import Inspection
from metlo_otel.core.agent_config import AgentConfig
from metlo_otel.core.exchange import Exchange
from metlo_otel.core.guard import RateLimitedLog
from metlo_otel.core.logs import make_logger
from metlo_otel.core.settings import Settings, misspelt
from metlo_otel.core.turns import Turns
from metlo_otel.export.encryption import Sealing
from metlo_otel.export.tracing import Seams
from metlo_otel.exporter import open_pipeline
from metlo_otel.judge import InForce

STREAM_LIMIT = 60.0  # seconds after which a stream that goes on is reported as it stands
_MOST_STREAMS = 10_000

_processes: weakref.WeakValueDictionary[Settings, Process] = weakref.WeakValueDictionary()


def process_for(settings: Settings) -> Process:
    """The process's own parts for these settings, shared by all agents whose settings are equal but for callbacks.

    Raises SettingsError where a rule of RULES is wrong.
    """
    key = replace(settings, get_user=None, reject_response=None)
    found = _processes.get(key)
    return found or _processes.setdefault(key, Process(key))


class Process:
    """Parts that many apps may share. They end with the last agent that uses them, once what waits is sent."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._agents: weakref.WeakSet[object] = weakref.WeakSet()
        self.log = RateLimitedLog(make_logger(settings.log_level))
        warn = _warner(self.log)
        for text in misspelt(os.environ):
            warn(text)
        turns = Turns()
        self.inspection = Inspection(settings, warn, turns)
        if any(mode == "block" for _, mode in settings.detection):
            self.inspection.prepare()  # no request waits for that
        self.in_force = InForce(settings, warn)
        self.streams = Streams()
        seams = Seams(self.inspection.analyse, self.inspection.session, Sealing(warn))
        tick = _each(self.in_force.tick, self.streams.end)
        self.pipeline = open_pipeline(
            settings,
            self.log,
            seams,
            _configuring(self.inspection, self.in_force),
            tick,
            self.inspection.suspects,
            turns,
        )
        self.pipeline.prepare = self.inspection.prepare
        weakref.finalize(self, self.pipeline.retire).atexit = False

    def enter(self, agent: object) -> None:
        """From now on `agent` uses this, as long as it lives or until it leaves."""
        self._agents.add(agent)

    def leave(self, agent: object, seconds: float) -> None:
        """Send what waits, within `seconds`; where nobody else uses this, end it. A later agent gets another one."""
        self._agents.discard(agent)
        if self._agents:
            self.pipeline.flush(seconds)
            return
        if _processes.get(self._settings) is self:
            del _processes[self._settings]
        self.pipeline.shutdown(seconds)


def _warner(log: RateLimitedLog) -> Callable[[str], None]:
    return lambda text: log.say(logging.WARNING, text, text)


def _configuring(inspection: Inspection, in_force: InForce) -> Callable[[AgentConfig], None]:
    """What puts the backend's configuration in force, for the worker to hold: the process is its agents' alone."""

    def configure(config: AgentConfig) -> None:
        inspection.configure(config)
        in_force.configure(config)

    return configure


def _each(*calls: Callable[[], None]) -> Callable[[], None]:
    def tick() -> None:
        for call in calls:
            call()

    return tick


class Streams:
    """Exchanges whose responses go on: each is reported as it stands after STREAM_LIMIT at the latest."""

    def __init__(self) -> None:
        self._open: deque[tuple[float, weakref.ref[Exchange]]] = deque(maxlen=_MOST_STREAMS)

    def add(self, exchange: Exchange) -> None:
        """Watch over an exchange."""
        self._open.append((time.monotonic() + STREAM_LIMIT, weakref.ref(exchange)))

    def end(self) -> None:
        """Close what has streamed for too long; in the worker."""
        now = time.monotonic()
        while self._open and self._open[0][0] <= now:
            exchange = self._open.popleft()[1]()
            if exchange is not None:
                exchange.request_body.stop()
                exchange.response_body.stop()
                exchange.close()
