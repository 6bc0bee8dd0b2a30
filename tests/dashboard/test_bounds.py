"""What a browser or an agent sends out of all bounds: it is refused in words, or shown as far as it goes."""

from __future__ import annotations

import logging
import re
import socket
import threading
from typing import Any
from urllib.parse import urlsplit

import pytest

from metlo_otel.collector.dashboard.pages import traces
from metlo_otel.collector.dashboard.trace_view import TraceView, view_trace
from metlo_otel.collector.server import RunningCollector
from tests.collector.client import Client, make_trace
from tests.dashboard.browser import PASSWORD, Browser

_FAIL = "CREATE TRIGGER none BEFORE INSERT ON settings BEGIN SELECT RAISE(ABORT, 'nothing is taken'); END"


def _newest(agent: Client) -> str:
    return f"/dashboard/traces/{agent.items('traces', limit=1)[0]['id']}"


def test_a_login_is_small(stranger: Browser) -> None:
    """What anybody may send is bounded in bytes, also for who knows the password."""
    answer = stranger.post("/dashboard/login", password=PASSWORD, next="x" * 20_000)
    assert answer.status_code == 413
    assert "16,384" in answer.text
    assert stranger.log_in().status_code == 303


def test_a_login_is_quick(still: RunningCollector, monkeypatch: pytest.MonkeyPatch) -> None:
    """A form that does not come is not waited for, and its connection is closed."""
    monkeypatch.setattr("metlo_otel.collector.dashboard.entry._PATIENCE", 0.2)
    address = urlsplit(still.url)
    head = "POST /dashboard/login HTTP/1.1\r\nHost: x\r\nSec-Fetch-Site: same-origin\r\nContent-Length: 9\r\n"
    with socket.create_connection((address.hostname, address.port or 0), timeout=5) as connection:
        connection.sendall(head.encode() + b"Content-Type: application/x-www-form-urlencoded\r\n\r\nname")
        answer = b""
        while piece := connection.recv(65_536):
            answer += piece
    assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.parametrize("number", ["9223372036854775808", "9" * 5_000])
@pytest.mark.parametrize(
    "page", ["traces/{}", "actors/{}", "endpoints/{}", "endpoints/{}/capture", "settings/keys/{}/revoke"]
)
def test_ids_that_no_row_has(reader: Browser, page: str, number: str) -> None:
    """However long a number is, there is nothing under it."""
    path = "/dashboard/" + page.format(number)
    answer = reader.post(path) if page.endswith(("capture", "revoke")) else reader.get(path)
    assert answer.status_code == 404


@pytest.mark.parametrize("tags", [5, {"a": 1}, "text", [7, "seen"]])
def test_tags_of_the_wrong_kind(browser: Browser, agent: Client, tags: Any) -> None:
    """The page of a trace shows what is a list of texts, and passes over what is none."""
    agent.post([make_trace(processedTraceData={"block": False, "requestTags": tags})])
    answer = browser.get(_newest(agent))
    assert answer.status_code == 200
    assert ("seen" in answer.text) == isinstance(tags, list)


def test_an_attack_at_many_places(browser: Browser, agent: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred places are shown and the others counted, and the work is not done where answers wait for it."""
    threads: list[str] = []

    def view(document: Any) -> TraceView:
        threads.append(threading.current_thread().name)
        return view_trace(document)

    monkeypatch.setattr(traces, "view_trace", view)
    places = {f"reqQuery.place-{number}": ["XSS"] for number in range(1_300)}
    agent.post([make_trace(processedTraceData={"block": False, "attackDetections": places})])
    text = browser.get(_newest(agent)).text
    assert text.count("<code>reqQuery.place-") == 100
    assert "and in 1,200 more places" in text
    assert threads
    assert "metlo-otel-collector" not in threads


def test_no_secret_in_the_log(browser: Browser, collector: RunningCollector, caplog: pytest.LogCaptureFixture) -> None:
    """A password that cannot be stored leaves neither its hash nor the key of the sessions in the log."""
    collector.store.change(lambda connection: connection.exec_driver_sql(_FAIL)).result()
    with caplog.at_level(logging.INFO):
        answer = browser.post("/dashboard/settings/password", old=PASSWORD, new="another long password")
    assert answer.status_code == 500
    assert "nothing is taken" in caplog.text
    assert "scrypt" not in caplog.text
    assert "secret" not in caplog.text


def test_a_key_for_reading_is_made(browser: Browser, collector: RunningCollector) -> None:
    """The settings make keys of both kinds, and say of each what it is for."""
    texts = [browser.post("/dashboard/settings/keys", name=kind, reads=kind).text for kind in ("on", "off")]
    reading, agents = (
        re.search(r"shown this once: \S*?(metlo-[\w-]+)", re.sub(r"<[^>]+>", "", text)) for text in texts
    )
    assert reading is not None
    assert agents is not None
    keys = collector.store.keys
    keys.refresh()
    assert [keys.holds(found[1], reads=True) for found in (reading, agents)] == [True, False]
    assert [keys.holds(found[1]) for found in (reading, agents)] == [False, True]
    assert "<td>reading</td>" in texts[0]
