"""Clients that ask without end, and hold each answer against what it must be."""

from __future__ import annotations

import http.client
import itertools
import json
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable

from tests.soak.apps import PART, PARTS

_PATIENCE = 20.0  # seconds that a client waits for an answer
_BODY = b'{"order": 7, "note": "two of the blue ones", "items": [1, 2, 3]}' * 40


class Load:
    """So many clients at `port`, each with a connection kept alive and a `pause` in seconds between requests.

    `taken` are the requests' times in seconds, by the collector's fault meanwhile; `wrong` what was not as it must be.
    """

    def __init__(self, port: int, clients: int, pause: float, fault: Callable[[], str]) -> None:
        self._port = port
        self._pause = pause
        self._fault = fault
        self.taken: defaultdict[str, list[float]] = defaultdict(list)
        self.wrong: list[str] = []
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._client, args=(seed,), daemon=True) for seed in range(clients)]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Ask no more."""
        self._ended.set()
        for thread in self._threads:
            thread.join(_PATIENCE + 5)

    def _client(self, seed: int) -> None:
        chance = random.Random(seed)
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=_PATIENCE)
        for number in itertools.count(seed * 1_000_000):
            if self._ended.wait(self._pause):
                break
            began = time.perf_counter()
            try:
                self._ask(connection, chance.choice(("user", "user", "echo", "stream")), number)
            except (OSError, http.client.HTTPException) as problem:
                self.wrong.append(f"{self._fault()}: {type(problem).__name__}: {problem}")
                connection.close()
            self.taken[self._fault()].append(time.perf_counter() - began)
        connection.close()

    def _ask(self, connection: http.client.HTTPConnection, what: str, number: int) -> None:
        if what == "echo":
            connection.request("POST", "/echo", _BODY, {"Content-Type": "application/json"})
        else:
            connection.request("GET", f"/users/{number}" if what == "user" else "/stream")
        response = connection.getresponse()
        body = response.read()
        if what == "user":
            right = json.loads(body) == {"id": number, "name": "Ada"}
        else:
            right = body == (_BODY if what == "echo" else PART * PARTS)
        if response.status != 200 or not right:
            self.wrong.append(f"{self._fault()}: {what}: {response.status} {body[:80]!r}")


def ask(port: int, path: str) -> dict[str, object]:
    """The JSON that an app answers with."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE + 10)
    connection.request("GET", path)
    answer: dict[str, object] = json.loads(connection.getresponse().read())
    connection.close()
    return answer
