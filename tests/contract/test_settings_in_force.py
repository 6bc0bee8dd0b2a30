"""What the settings promise holds on every way in: excluded, disabled, masked, bounded, and each app by itself."""

from __future__ import annotations

import logging
import threading

import pytest

from metlo_otel.core.settings import SettingsError
from metlo_otel.testing import MemoryCollector
from tests.contract.conftest import FULL, MakeShop
from tests.contract.http import Call, get, post
from tests.contract.shop import Shop, skip_unless
from tests.contract.ways import Way

SECRET = "hunter2-4711"
MULTIPART = "multipart/form-data; boundary=B"


def test_excluded_urls(make_shop: MakeShop) -> None:
    """A URL that one of EXCLUDED_URLS matches is served as without us, and nothing is told of it."""
    shop = make_shop(EXCLUDED_URLS=["/users/[0-9]+$", "^http://status\\."])
    for call in (get("/users/7"), get("/stream", ("Host", "status.example"))):
        shop.same(call)
    shop.same(get("/items/a/parts/b"))
    assert [trace["request"]["url"]["path"] for trace in shop.sent()] == ["/items/a/parts/b"]
    assert shop.agent.stats().captured == 1


def test_disabled(way: Way, collector: MemoryCollector) -> None:
    """DISABLED needs neither key nor host, starts no thread, calls nobody and leaves the app as it is."""
    threads = set(threading.enumerate())
    app, agent = way.build({"DISABLED": True})
    assert agent is None
    plain, _ = way.build(None)
    for call in (get("/users/7"), get("/stream"), post("/raw", b"0123456789"), get("/boom")):
        assert way.serve(app, call) == way.serve(plain, call)
    ours = [thread for thread in set(threading.enumerate()) - threads if "metlo" in thread.name]
    assert ours == []
    assert collector.requests == []


def test_nothing_happens_before_the_first_request(make_shop: MakeShop, collector: MemoryCollector) -> None:
    """Start neither waits for the network nor starts a thread."""
    before = set(threading.enumerate())
    make_shop()
    assert [thread for thread in set(threading.enumerate()) - before if thread.name == "metlo-otel"] == []
    assert collector.requests == []


def test_wrong_settings_stop_the_start(way: Way) -> None:
    """Wrong settings stop the start, with all that is wrong in one error."""
    with pytest.raises(SettingsError) as caught:
        way.build({"METLO_HOST": "app.metlo.com", "MAX_BODY": "many", "COLOUR": "red"})
    text = str(caught.value)
    for name in ("METLO_HOST", "MAX_BODY", "COLOUR", "API_KEY"):
        assert name in text


def test_several_apps_in_one_process(make_shop: MakeShop, way: Way) -> None:
    """Two apps have their own agents, keys, collectors and settings."""
    skip_unless(not way.name.startswith("django"), "a process has one Django site")
    with MemoryCollector(FULL, api_key="other-key") as other:
        first, second = make_shop(MAX_BODY=4), make_shop(to=other, MAX_BODY=6)
        first.same(get("/large/10"))
        second.same(get("/large/10"))
        assert [trace["response"]["body"] for trace in first.sent()] == ["xxxx"]
        assert [trace["response"]["body"] for trace in second.sent()] == ["xxxxxx"]
        assert first.agent is not second.agent
        second.close()


def test_max_body_of_nothing(make_shop: MakeShop) -> None:
    """MAX_BODY=0 tells sizes alone."""
    shop = make_shop(MAX_BODY=0)
    _, trace = shop.exchange(post("/raw", b"0123456789", "text/plain"))
    assert (trace["request"]["body"], trace["response"]["body"]) == ("", "")
    assert trace["meta"]["requestBodySize"] == 10
    assert trace["meta"]["requestBodyTruncated"] is True


def test_redacted_unless_wanted(make_shop: MakeShop) -> None:
    """Without an agent-config that wants content, none leaves: neither names nor values nor bodies."""
    with MemoryCollector() as collector:
        shop = make_shop(to=collector)
        _, trace = shop.exchange(post(f"/json?q={SECRET}", f'{{"a": "{SECRET}"}}'.encode(), "application/json"))
        shop.close()
    assert trace["redacted"] is True
    assert SECRET not in str(trace)


def test_environment(make_shop: MakeShop) -> None:
    """ENVIRONMENT is told with each trace."""
    _, trace = make_shop(ENVIRONMENT="staging").exchange(get("/users/7"))
    assert trace["meta"]["environment"] == "staging"


def test_trusted_proxy(make_shop: MakeShop) -> None:
    """A trusted proxy's word for the client is taken, and the proxy told beside it; others are not believed."""
    forwarded = ("X-Forwarded-For", "192.0.2.77, 10.0.0.1")
    trusting = make_shop(TRUSTED_PROXIES=["203.0.113.0/24", "10.0.0.0/8"])
    _, trace = trusting.exchange(get("/users/7", forwarded))
    assert (trace["meta"]["source"], trace["meta"]["originalSource"]) == ("192.0.2.77", "203.0.113.9")
    _, trace = make_shop().exchange(get("/users/7", forwarded))
    assert (trace["meta"]["source"], trace["meta"]["originalSource"]) == ("203.0.113.9", None)


MASKED = [
    get(f"/users/7?password={SECRET}", ("Authorization", f"Bearer {SECRET}")),
    get("/users/7", ("Cookie", f"theme=dark; sid={SECRET}"), ("X-Api-Key", SECRET)),
    post("/json", f'{{"user": {{"password": "{SECRET}"}}, "Token": ["{SECRET}"]}}'.encode(), "application/json"),
    post("/json", f'{{"password": "{SECRET}'.encode(), "application/json"),
    post("/form", f"name=a&password={SECRET}".encode(), "application/x-www-form-urlencoded"),
    post(
        "/upload",
        f'--B\r\nContent-Disposition: form-data; name="password"\r\n\r\n{SECRET}\r\n--B--\r\n'.encode(),
        MULTIPART,
    ),
]


@pytest.mark.parametrize("call", MASKED, ids=["query", "cookie", "json", "cut-json", "form", "multipart"])
def test_masked_fields_never_leave(make_shop: MakeShop, call: Call, caplog: pytest.LogCaptureFixture) -> None:
    """The value of a masked field is nowhere in what is sent, nor in our log, while the app has it."""
    caplog.set_level(1, logger="metlo_otel")
    with RawCollector(FULL) as collector:
        shop = make_shop(to=collector, MASKED_FIELDS=None)  # the default list
        shop.same(call)
        (trace,) = shop.sent()
        shop.close()
    assert trace["redacted"] is False
    assert collector.received
    assert SECRET.encode() not in b"".join(collector.received)
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("metlo_otel")]
    assert SECRET not in "\n".join(ours)


def test_own_masked_fields(make_shop: MakeShop) -> None:
    """MASKED_FIELDS of one's own replace the default ones."""
    shop = make_shop(MASKED_FIELDS=["Shoe-Size"])
    _, trace = shop.exchange(get("/users/7?shoe_size=47&password=open"))
    values = {pair["name"]: pair["value"] for pair in trace["request"]["url"]["parameters"]}
    assert values["password"] == "open"
    assert "47" not in values["shoe_size"]


def test_log_level(make_shop: MakeShop) -> None:
    """LOG_LEVEL sets our logger's level and nobody else's."""
    root = logging.getLogger().level
    ours = logging.getLogger("metlo_otel").level
    make_shop(LOG_LEVEL="Trace")
    assert logging.getLogger("metlo_otel").level == 5
    assert logging.getLogger().level == root
    logging.getLogger("metlo_otel").setLevel(ours)


class RawCollector(MemoryCollector):
    """A collector that also keeps the bytes of every body, decompressed."""

    def __init__(self, config: dict[str, bool]) -> None:
        super().__init__(dict(config))
        self.received: list[bytes] = []

    def receive(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        self.received.append(repr(headers).encode() + body)
        return super().receive(method, path, headers, body)


def test_shop_is_named_once(make_shop: MakeShop, way: Way) -> None:
    """Equal settings under Django share one agent; elsewhere each app has its own."""
    first: Shop = make_shop()
    second: Shop = make_shop()
    assert (first.agent is second.agent) == way.name.startswith("django")
