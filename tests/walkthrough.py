"""Follows a page literally: its files are written, its commands run in their order, and what they say is compared."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

from tests.live.server import free_port
from tests.pages import Block, blocks_of, commands_of

_SERVES = ("metlo-otel collector", "flask ", "uvicorn ", "gunicorn ", "python manage.py runserver")
_INSTALLS = ("pip install", "python3 -m venv", ". .venv/")  # the environment of the tests has everything
_PATIENCE = 60.0  # seconds for what a command says in the end


class Walkthrough:
    """One reader of a page in a directory of their own; use it with `with`. Ports and the key are exchanged."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._known = {"<YOUR_API_KEY>": "<YOUR_API_KEY>"}
        self._servers: list[subprocess.Popen[bytes]] = []
        self.heard: list[tuple[str, str]] = []  # commands and what they said, as the page has ports and key
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        ours = {name: value for name, value in os.environ.items() if not name.startswith(("METLO_", "OTEL_"))}
        own = {"PATH": path, "HOME": str(directory), "XDG_CACHE_HOME": str(directory / "cache"), "COLUMNS": "200"}
        self._environ = {**ours, **own, "TMPDIR": str(directory)}

    def __enter__(self) -> Walkthrough:
        return self

    def __exit__(self, *_problem: object) -> None:
        for server in reversed(self._servers):
            server.terminate()
        for server in self._servers:
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()

    def follow(self, page: str) -> int:
        """Do all of it; how many commands that were."""
        done = 0
        for block in blocks_of(page):
            if block.kind == "console":
                for command, said in commands_of(block):
                    self._run(self._exchange(command), self._exchange(said))
                    done += 1
            elif block.kind == "diff":
                self._change(block)
            elif block.file:
                file = self._directory / block.file
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(self._exchange(block.text))
        return done

    def _exchange(self, text: str) -> str:
        """The text with ports that are free here, and with the key that the collector made."""
        for port in set(re.findall(r"(?:127\.0\.0\.1:|--port[ =]|runserver )(\d{4})\b", text)):
            self._known.setdefault(port, str(free_port()))
        for known, own in self._known.items():
            text = re.sub(rf"(?<!\d){re.escape(known)}(?!\d)", own, text)
        return text

    def _change(self, block: Block) -> None:
        """Where a page shows lines to add (+) or to take out (-) between others, the others must be there."""
        lines = block.text.splitlines()
        before = "\n".join(line[1:] for line in lines if line[:1] != "+")
        after = "\n".join(line[1:] for line in lines if line[:1] != "-")
        file = self._directory / block.file
        text = file.read_text()
        assert text.count(before) == 1, f"{block.page}: {block.file} has not once:\n{before}"
        file.write_text(text.replace(before, self._exchange(after)))

    def _run(self, command: str, said: str) -> None:
        if command.startswith(_SERVES):
            self._serve(command, said)
        elif command.startswith("export "):
            for name, value in re.findall(r"(\w+)=(\S+)", command):
                self._environ[name] = value.strip("'\"")
            self._hear(command, "")
        elif not command.startswith(_INSTALLS):
            self._ask(command, said)

    def _ask(self, command: str, said: str) -> None:
        """Run a command, again until it says what it should: what is captured is there a moment later."""
        end = time.monotonic() + _PATIENCE
        while True:
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=self._directory,
                env=self._environ,
                capture_output=True,
                text=True,
                timeout=60,
            )
            if _fits(said, done.stdout + done.stderr):
                return self._hear(command, done.stdout + done.stderr)
            shown = f"$ {command}\n{done.stdout}{done.stderr}\n--- expected\n{said}"
            assert time.monotonic() < end, shown + "".join(self._logs())
            time.sleep(0.3)

    def _serve(self, command: str, said: str) -> None:
        log = self._directory / f"server{len(self._servers)}.log"
        with log.open("wb") as output:
            server = subprocess.Popen(
                ["bash", "-c", f"exec {command.removesuffix('&')}"],
                cwd=self._directory,
                env={**self._environ, "PYTHONUNBUFFERED": "1"},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self._servers.append(server)
        ready = said or "…127.0.0.1:…"
        end = time.monotonic() + _PATIENCE
        while not _fits(ready, log.read_text()):
            assert server.poll() is None and time.monotonic() < end, f"$ {command}\n{log.read_text()}"  # noqa: PT018
            time.sleep(0.1)
        if key := re.search(r"API key, shown this once: (\S+)", log.read_text()):
            self._known["<YOUR_API_KEY>"] = key[1]
        self._hear(command, log.read_text())

    def _hear(self, command: str, said: str) -> None:
        for known, own in self._known.items():
            command, said = command.replace(own, known), said.replace(own, known)
        self.heard.append((command, said))

    def _logs(self) -> list[str]:
        return [f"\n--- {file.name}\n{file.read_text()}" for file in sorted(self._directory.glob("server*.log"))]


def _fits(expected: str, said: str) -> bool:
    """Whether a command said what is expected, in which `…` stands for any text; where nothing is, it may say anything.
    Columns are as wide as what stands in them.
    """
    wanted, found = " ".join(expected.split()), " ".join(said.split())
    return not wanted or re.fullmatch(".*".join(map(re.escape, wanted.split("…"))), found) is not None
