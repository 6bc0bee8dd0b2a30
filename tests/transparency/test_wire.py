"""Byte for byte over raw sockets: what a client gets and what an app sees is the same with the agent and without."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.transparency.explained_wire import explained
from tests.transparency.wire import SCRIPTS, Seen, play
from tests.transparency.wire_servers import KINDS, Kind, Served, interpreter

pytestmark = pytest.mark.live

ALL = os.environ.get("TRANSPARENCY") == "all"
SERVERS = tuple(KINDS) if ALL else ("gunicorn-gthread", "werkzeug")
MODES = ("facade", "rule", "block") if ALL else ("block",)
_TRIES = 5


class Table:
    """What was seen of every script, at one kind of server, in every mode; a script is played again on demand."""

    def __init__(self, kind: Kind, folder: Path) -> None:
        self._servers = {mode: Served(kind, mode, folder) for mode in ("plain", *MODES)}
        self._seen: dict[str, dict[str, Seen]] = {}

    def fill(self) -> None:
        """Play all, the modes beside each other."""
        for server in self._servers.values():
            server.wait()
        with ThreadPoolExecutor(len(self._servers)) as pool:
            self._seen = dict(zip(self._servers, pool.map(self._all, self._servers.values()), strict=True))

    def _all(self, server: Served) -> dict[str, Seen]:
        return {name: play(server.port, steps) for name, steps in SCRIPTS.items()}

    def differing(self, name: str, mode: str) -> tuple[Seen, Seen] | None:
        """What was seen plain and with us, if that differs each time that it is tried."""
        for _ in range(_TRIES):
            plain, ours = self._seen["plain"][name], self._seen[mode][name]
            if ours.like(plain):
                return None
            for one in ("plain", mode):
                self._seen[one][name] = play(self._servers[one].port, SCRIPTS[name])
        return plain, ours

    def end(self) -> None:
        """End the servers."""
        for server in self._servers.values():
            server.end()


@pytest.fixture(scope="module", params=SERVERS)
def table(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Table]:
    """Everything, at one kind of server."""
    kind = KINDS[request.param]
    if interpreter(kind) is None:
        pytest.skip(f"{kind.name} is not installed; `make transparency` does it")
    table = Table(kind, tmp_path_factory.mktemp(kind.name))
    try:
        table.fill()
        yield table
    finally:
        table.end()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", SCRIPTS)
def test_the_same_bytes_and_events(table: Table, name: str, mode: str, request: pytest.FixtureRequest) -> None:
    """Clients get the same, and nothing is held back; the app reads the same, and is told of the same errors."""
    kind = request.node.callspec.params["table"]
    differing = table.differing(name, mode)
    if differing is not None and not explained(kind, name, mode, *differing):
        plain, ours = map(asdict, differing)
        assert ours == plain
