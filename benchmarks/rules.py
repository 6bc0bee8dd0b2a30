"""What deciding costs: µs for 0 to 1,000 rules, for a rate limit in each store, and memory per 1,000 rules.

Run with `python -m benchmarks.rules`; Redis is measured where redis-server is installed.
"""

from __future__ import annotations

import socket
import subprocess
import tempfile
import timeit
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from statistics import median
from typing import Any, NamedTuple

from metlo_otel.blocking.policy import Policy
from metlo_otel.blocking.rate_limits import Limit, LocalStore, Store
from metlo_otel.blocking.redis_store import RedisStore
from metlo_otel.blocking.rules import parse_rules
from metlo_otel.blocking.shared_store import SharedStore
from metlo_otel.blocking.view import Client
from metlo_otel.core.addresses import Proxies
from metlo_otel.core.exchange import Exchange
from metlo_otel.core.request import EnvironRequest, Request, ScopeRequest

NOW = 1_700_000_000.0
HEADERS = {
    "Host": "shop.example",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/130.0 Safari/537.36",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8",
    "Accept-Encoding": "gzip, deflate, br",
    "Accept-Language": "en-US,en;q=0.5",
    "Cookie": "session=3f9a0c3d6b8e4f1aa2c4; theme=dark",
    "Referer": "https://shop.example/products",
    "X-Request-Id": "0a1b2c3d4e5f",
}


def main() -> None:
    """Print all measurements."""
    requests: dict[str, Request] = {"WSGI": environ(), "ASGI": scope()}
    for name, request in requests.items():
        for number in (0, 1, 10, 1000):
            print(f"{name}: decide with {number:5} rules   {decide_time(request, number)}")
    proxies = Proxies()
    print(f"client address, no trusted proxies {micros(lambda: proxies.client(requests['WSGI']))}")
    print(f"memory of 1,000 rules and their policy {memory(1000) / 1e6:7.2f} MB")
    with tempfile.TemporaryDirectory() as folder:
        stores(Path(folder))


def stores(folder: Path) -> None:
    """Print what counting one request costs in each store, passing and blocked."""
    show("in process", LocalStore())
    show("shared", SharedStore(folder / "counts", print))
    if which("redis-server"):
        with redis(folder) as url:
            show("redis", RedisStore(url, print, budget=1.0), times=100)
    else:
        print("redis: not measured, redis-server is not installed")


def show(name: str, store: Store, times: int = 2_000) -> None:
    large, small = Limit("large", 10**9, 60, 60), Limit("small", 5, 60, 600)
    clients = [f"192.0.2.{number}" for number in range(200)]
    turn = iter(range(10**9))
    passing = micros(lambda: store.hit(large, clients[next(turn) % 200], NOW), times)
    blocked = micros(lambda: store.hit(small, clients[0], NOW), times)
    print(f"rate limit {name:10} passing {passing}   blocked {blocked}")
    store.close()


def decide_time(request: Request, number: int) -> Micros:
    """Microseconds of one decide, and of the client value that a request makes for it."""
    policy = Policy(parse_rules(rules(number), print))
    exchange = Exchange(request, 10_000)
    return micros(lambda: policy.decide(exchange, Client(lambda: "198.51.100.7"), NOW))


def memory(number: int) -> int:
    """Bytes that rules and policy hold, the configuration's own document not counted."""
    document = rules(number)
    tracemalloc.start()
    policy = Policy(parse_rules(document, print))
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return held if policy.rules else 0


def rules(number: int) -> list[dict[str, Any]]:
    """Typical rules of which none matches: ten of the common kinds, then as many of the rarer ones."""
    common: list[Callable[[int], list[dict[str, Any]]]] = [
        lambda n: [condition("path", "eq", f"/old/endpoint/{n}")],
        lambda n: [condition("path", "startswith", f"/internal/{n}/")],
        lambda n: [condition("ip_address", "eq", f"203.0.{n % 256}.{n // 256}")],
        lambda n: [condition("request_header", "contains", f"badbot/{n}", "User-Agent")],
        lambda n: [condition("method", "eq", "POST"), condition("path", "eq", f"/api/v1/orders/{n}")],
    ]
    rare: list[Callable[[int], list[dict[str, Any]]]] = [
        lambda n: [condition("ip_address", "eq", f"100.{n % 256}.{n // 256}.0/24")],
        lambda n: [condition("request_header", "eq", f"probe-{n}", "X-Scanner")],
        lambda n: [condition("request_parameter", "contains", "<script", f"field{n}")],
        lambda n: [condition("path", "endswith", f".bak{n}"), condition("method", "eq", "GET")],
        lambda n: [condition("path", "contains", f"/probe{n}/")],
    ]
    kinds = common * 2 + rare * 2
    return [block(n, kinds[n % len(kinds)](n)) for n in range(number)]


def condition(field: str, operator: str, value: str, key: str | None = None) -> dict[str, Any]:
    return {"field": field, "operator": operator, "key": key, "value": value}


def block(number: int, conditions: list[dict[str, Any]]) -> dict[str, Any]:
    groups = [{"rule": "all", "conditions": conditions}]
    return {
        "uuid": f"rule-{number}",
        "ruleType": "block",
        "action": {"actionType": "block"},
        "conditionGroups": groups,
    }


def environ() -> Request:
    headers = {"HTTP_" + name.upper().replace("-", "_"): value for name, value in HEADERS.items()}
    line = {"REQUEST_METHOD": "GET", "PATH_INFO": "/api/v1/products/42/", "QUERY_STRING": "page=2&sort=price"}
    return EnvironRequest({**line, **headers, "REMOTE_ADDR": "198.51.100.7", "REMOTE_PORT": "50000"})


def scope() -> Request:
    headers = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
    line = {"method": "GET", "path": "/api/v1/products/42/", "query_string": b"page=2&sort=price"}
    return ScopeRequest({**line, "headers": headers, "client": ("198.51.100.7", 50000)})


class Micros(NamedTuple):
    """Microseconds of one call: the median of its rounds, and the least disturbed one."""

    median: float
    best: float

    def __str__(self) -> str:
        return f"{self.median:7.2f} µs (best {self.best:.2f})"


def micros(call: Callable[[], object], times: int = 2_000, rounds: int = 61) -> Micros:
    """What a call costs, less an empty one, in rounds that take turns."""
    call()
    taken = [(timeit.timeit(call, number=times), timeit.timeit(_nothing, number=times)) for _ in range(rounds)]
    least = min(own for own, _ in taken) - min(empty for _, empty in taken)
    return Micros(median(own - empty for own, empty in taken) / times * 1e6, least / times * 1e6)


def _nothing() -> None:
    """What calling costs."""


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """A Redis of our own on a free loopback port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    arguments = [
        "redis-server",
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--dir",
        str(folder),
    ]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        try:
            lines = iter(process.stdout.readline, "") if process.stdout else iter(())
            assert any("ready to accept connections" in line.lower() for line in lines), "redis-server did not start"
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.kill()


if __name__ == "__main__":
    main()
