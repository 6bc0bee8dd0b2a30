"""Where rules come from: the backend, the last known good, a file that changes; and rules that are broken."""

from __future__ import annotations

import json
import logging
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metlo_otel.testing import MemoryCollector
from tests.blocking.exchanges import condition, every, wire, wire_limit, wire_tag
from tests.contract.apps.script import SCRIPT
from tests.contract.conftest import FULL, MakeShop, in_force
from tests.contract.http import get, post
from tests.contract.shop import Shop
from tests.contract.ways import WAYS

# Where rules come from is the same for all ways in: one of WSGI and one of ASGI stand for them.
pytestmark = pytest.mark.parametrize("way", [WAYS[0], WAYS[-1]], indirect=True, ids=lambda way: way.name)

IGNORE = every(condition("path", "eq", "/ignore"))
NO_IGNORE = wire(IGNORE, uuid="no-ignore")


class DeadCollector(MemoryCollector):
    """A backend that is down: at the same address, and answers nothing but errors."""

    def receive(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        return 503, b""


def status(shop: Shop, path: str = "/ignore") -> int:
    return shop.serve(get(path)).status


def test_last_known_good(make_shop: MakeShop, collector: MemoryCollector, tmp_path: Path) -> None:
    """The last valid agent-config is on disk, for this user's eyes, and in force from a start's very first request."""
    collector.config = {**FULL, "wafConfig": [NO_IGNORE]}
    options = {"CONFIG_CACHE": str(tmp_path / "kept" / "config.json")}
    first = in_force(make_shop(**options))
    assert status(first) == 403
    assert stat.S_IMODE(os.stat(options["CONFIG_CACHE"]).st_mode) == 0o600
    with DeadCollector(api_key=collector.api_key) as dead:
        second = make_shop(to=dead, **options)
        assert status(second) == 403
        second.close()
    assert SCRIPT.events == []


def test_last_known_good_by_host_and_key(
    make_shop: MakeShop, collector: MemoryCollector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By default it lies in the user's cache directory, a file for each host and key, which its name does not tell."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    collector.config = {**FULL, "wafConfig": [NO_IGNORE]}
    in_force(make_shop())
    collector.config = []  # type: ignore[assignment]  # a backend that is broken now
    assert status(make_shop(MAX_BODY=64)) == 403
    with DeadCollector(api_key="another") as other:
        assert status(make_shop(to=other)) == 200
    (kept,) = tmp_path.glob("metlo-otel/*")
    assert collector.api_key not in str(kept)
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


@pytest.mark.parametrize("content", ["", "{", "[]", '"x"', '{"wafConfig": 5}', "\x00" * 100])
def test_a_broken_cache_is_no_harm(make_shop: MakeShop, tmp_path: Path, content: str) -> None:
    """Whatever the file holds, the agent starts without it."""
    kept = tmp_path / "config.json"
    kept.write_text(content)
    kept.chmod(0o600)
    shop = make_shop(CONFIG_CACHE=str(kept))
    assert shop.same(get("/ignore")).status == 200
    assert shop.agent.guard.failures == 0


BROKEN: dict[str, Any] = {
    "unknown field": wire(every(condition("colour", "eq", "red")), uuid="b-field"),
    "unknown operator": wire(every(condition("path", "matches", "/")), uuid="b-operator"),
    "unknown rule": {**NO_IGNORE, "uuid": "b-kind", "ruleType": "explode"},
    "unknown group": wire({"rule": "most", "conditions": []}, uuid="b-group"),
    "wrong types": {**NO_IGNORE, "uuid": "b-types", "conditionGroups": {"rule": 7}},
    "wrong value": wire(every(condition("path", "eq", ["/"])), uuid="b-value"),
    "wrong range": wire(every(condition("ip_address", "eq", "10.0.0.0/99")), uuid="b-range"),
    "huge value": wire(every(condition("path", "contains", "x" * 1_000_000)), uuid="b-huge"),
    "status in a block": wire(every(condition("status_code", "eq", 200)), uuid="b-status"),
    "threshold": wire_limit(0, uuid="b-threshold"),
    "negative threshold": wire_limit(-5, uuid="b-negative"),
    "interval": wire_limit(5, uuid="b-interval", interval="fortnight_1"),
    "no header name": wire(every(condition("request_header", "eq", "x")), uuid="b-key"),
    "end time": {**NO_IGNORE, "uuid": "b-end", "action": {"actionType": "block", "blockEndTime": "soon"}},
    "no uuid": {**NO_IGNORE, "uuid": None},
    "no rule at all": "block everything",
}


def test_broken_rules(make_shop: MakeShop, collector: MemoryCollector, caplog: pytest.LogCaptureFixture) -> None:
    """Broken rules are skipped one by one, each named in a short warning; the rest is in force."""
    caplog.set_level(logging.WARNING, logger="metlo_otel")
    twice = wire(every(condition("path", "startswith", "/")), uuid="no-ignore")
    collector.config = {**FULL, "wafConfig": [*BROKEN.values(), NO_IGNORE, twice, wire_tag("kept")]}
    shop = in_force(make_shop())
    assert status(shop) == 403
    assert len(shop.sent()) == 1
    for call in (get("/users/7"), post("/json", b"{}", "application/json")):
        _, trace = shop.exchange(call)
        assert trace["processedTraceData"]["requestTags"] == ["kept"]
    warnings = [record.getMessage() for record in caplog.records if "is skipped" in record.getMessage()]
    assert len(warnings) == len(BROKEN) + 1
    for index, rule in enumerate([*BROKEN.values(), None, twice]):
        if rule is not None:
            (warning,) = [text for text in warnings if f"wafConfig[{index}]" in text]
            assert len(warning) < 300
            assert not isinstance(rule, dict) or repr(rule["uuid"]) in warning or rule["uuid"] is None
    assert shop.agent.guard.failures == 0


def test_ten_thousand_rules(make_shop: MakeShop, collector: MemoryCollector) -> None:
    """Ten thousand rules, every other one broken, are in force as far as they are right."""
    rules = [wire(every(condition("path", ("eq", "is")[n % 2], f"/old/{n}")), uuid=f"r{n}") for n in range(10_000)]
    collector.config = {**FULL, "wafConfig": rules}
    shop = in_force(make_shop())
    assert [status(shop, path) for path in ("/old/9998", "/old/9999", "/ignore")] == [403, 404, 200]


def test_a_broken_document_changes_nothing(make_shop: MakeShop, collector: MemoryCollector) -> None:
    """An agent-config that is none, and a backend that fails, leave the last one in force."""
    collector.config = {**FULL, "wafConfig": [NO_IGNORE]}
    shop = in_force(make_shop())
    broken: list[Any] = [[], "x", 7]
    for document in broken:
        collector.config = document
        fetch_again(shop)
        assert status(shop) == 403
    collector.config = {**FULL, "wafConfig": []}
    fetch_again(shop)
    assert status(shop) == 200


def fetch_again(shop: Shop) -> None:
    """Fetch the agent-config now, as the worker does every minute."""
    exporter: Any = shop.agent._pipeline._exporter
    exporter.remote._due = 0.0
    exporter.refresh_if_due()


def test_rules_file(
    make_shop: MakeShop, collector: MemoryCollector, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Rules of a file are in force from the first request, follow its changes, and survive a broken one."""
    file = tmp_path / "rules.json"
    write(file, [{"name": "closed", "block": True, "path": "/ignore"}])
    collector.config = {**FULL, "wafConfig": [wire(every(condition("path", "eq", "/named")))]}
    shop = make_shop(RULES=str(file))
    assert status(shop) == 403
    shop = in_force(shop)
    assert decided(shop) == [403, 403, 200]
    write(file, [{"name": "moved", "block": True, "path": "/login"}])
    eventually(shop, lambda: decided(shop) == [200, 403, 403])
    write(file, [{"name": "moved", "block": True, "path": ["nonsense", {}]}])
    eventually(shop, lambda: "no rule in it is right; the previous 1 stay in force" in caplog.text)
    assert decided(shop) == [200, 403, 403]
    write(file, [])
    eventually(shop, lambda: decided(shop) == [200, 403, 200])


def decided(shop: Shop) -> list[int]:
    return [status(shop, path) for path in ("/ignore", "/named", "/login")]


def write(file: Path, rules: Any) -> None:
    """As editors do: a new file in the place of the old one."""
    new = file.with_suffix(".new")
    new.write_text(json.dumps(rules))
    new.replace(file)


def eventually(shop: Shop, holds: Callable[[], bool]) -> None:
    """Have the worker do its rounds until it `holds`."""
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        shop.serve(get("/users/7"))
        assert shop.agent.flush(10)
