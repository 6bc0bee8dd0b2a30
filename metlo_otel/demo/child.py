"""The shop's process: started, found and ended in every case."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

from metlo_otel.demo.ending import Ending

_START = 30.0  # seconds that the shop has to start in
_END = 5.0  # seconds that it has to end in, before it is made to


class ChildError(Exception):
    """The shop did not start; the text says why."""


class Shop:
    """The sample shop and its payments in a child process, reporting to `collector`; use it with `with`. Raises
    ChildError. Of the second `release` the shop's API is another one.

    It ends when its standard input does, so it outlives nobody, even when we are killed.
    """

    def __init__(self, collector: str, key: str, directory: Path, ending: Ending, release: int = 1) -> None:
        self._ending = ending
        self._log = directory / "shop.log"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("METLO_")}
        named = {
            "METLO_HOST": collector,
            "METLO_KEY": key,
            "METLO_ANALYSIS_BUDGET": "100",  # its first minutes pass quickly
            "METLO_CONFIG_CACHE": "off",  # nothing of it is left behind
            "METLO_RATE_LIMIT_STORAGE": "memory",
            "METLO_DEMO_RELEASE": str(release),
        }
        self._environment = {**clean, **named}
        self.url = self.payments = ""

    def __enter__(self) -> Shop:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "metlo_otel.demo.shop"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self._environment,
            )
        try:
            self._find()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_problem: object) -> None:
        self._stop()

    @property
    def ended(self) -> bool:
        """Whether the process has ended, which it should not by itself."""
        return self._process.poll() is not None

    def said(self) -> str:
        """The last lines of what it wrote to stderr."""
        return "\n".join(self._log.read_text("utf-8", "replace").splitlines()[-12:])

    def _find(self) -> None:
        """Read the first line; on a thread, because reading a pipe has no time limit."""
        reader = threading.Thread(target=self._read_url, daemon=True)
        reader.start()
        self._ending.wait(_START, lambda: not reader.is_alive())
        if not self.url:
            why = f"said nothing for {_START:.0f} seconds" if reader.is_alive() else "ended at its start"
            raise ChildError(f"the sample shop {why}:\n{self.said()}".rstrip(":\n"))

    def _read_url(self) -> None:
        assert self._process.stdout is not None
        self.url, _, self.payments = self._process.stdout.readline().decode("ascii", "replace").strip().partition(" ")

    def _stop(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None  # noqa: PT018 - as above
        self._process.stdin.close()
        for end in (self._process.terminate, self._process.kill):
            try:
                self._process.wait(_END)
            except subprocess.TimeoutExpired:
                end()
        self._process.wait()
        self._process.stdout.close()  # only now: while it lives, somebody may be reading from it
