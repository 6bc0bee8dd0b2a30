"""Pairs of a way in and a server that is a function."""

from __future__ import annotations

from typing import Any

from tests.contract import asgi_driver, wsgi_driver
from tests.contract.http import Call
from tests.differential.guarded import APPS, pair
from tests.differential.judging import Ask
from tests.differential.message import Message
from tests.differential.tricks import TRICKS

SENDABLE = [trick for trick in TRICKS if not trick.build(trick.values[0]).wire]


def asking(name: str) -> Ask:
    """How a pair's apps are asked."""
    driver: Any = wsgi_driver if APPS[name][0] == "wsgi" else asgi_driver
    apps = pair(name)

    def ask(message: Message, guarded: bool) -> tuple[int, bytes]:
        answer = driver.serve(apps[guarded], call_of(message))
        return answer.status, b"".join(answer.pieces)

    return ask


def call_of(message: Message) -> Call:
    """The request as the drivers send it."""
    headers = tuple([(name.decode("latin-1"), value.strip().decode("latin-1")) for name, value in message.headers])
    pieces = (message.body,) if message.body else ()
    return Call(message.method.decode(), message.target.decode("latin-1"), headers, pieces)
