"""The app's own functions, GET_USER and REJECT_RESPONSE, asked so that what goes wrong in them hurts nobody."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from metlo_otel.core.exchange import Exchange, Verdict
from metlo_otel.core.guard import Guard, RateLimitedLog
from metlo_otel.core.rejection import Rejection, rejection
from metlo_otel.core.settings import Settings

Answer = TypeVar("Answer")

_PLAIN = rejection(Verdict(blocked=True), "", False)  # where not even the usual one can be made


@dataclass(frozen=True, slots=True)
class Answering(Generic[Answer]):
    """How a way in answers: `default` makes our own answer, `read` what REJECT_RESPONSE gave into one that can be sent.

    What `read` raises, or makes None of, is not `wanted`.
    """

    wanted: str
    read: Callable[[Any], Answer | None]
    default: Callable[[Rejection], Answer]


class Callbacks:
    """Asks them, with the framework's own request."""

    def __init__(self, settings: Settings, guard: Guard, log: RateLimitedLog) -> None:
        self._get_user = settings.get_user
        self._reject_response = settings.reject_response
        self._guard = guard
        self._log = log

    def ask_user(self, exchange: Exchange, request: Any) -> Awaitable[None] | None:
        """Ask GET_USER who made `request`, unless that is known; something to await when it is an async function."""
        if self._get_user is None:
            return None
        answer = self._ask(exchange, request)
        if inspect.isawaitable(answer):
            return self._await_user(exchange, answer)
        self._note_user(exchange, answer)
        return None

    def ask_user_sync(self, exchange: Exchange, request: Any) -> None:
        """As ask_user(), where nothing can be awaited: an async GET_USER is said to be wrong there."""
        if self._get_user is None:
            return
        answer = self._ask(exchange, request)
        if inspect.isawaitable(answer):
            self._cannot_await("GET_USER", "no user is recorded", answer)
        else:
            self._note_user(exchange, answer)

    def _ask(self, exchange: Exchange, request: Any) -> Any:
        get_user = self._get_user
        return None if get_user is None or exchange.user is not None else self._guard.run(get_user, request)

    async def _await_user(self, exchange: Exchange, answer: Awaitable[Any]) -> None:
        self._note_user(exchange, await self._guard.wait(answer))

    def _note_user(self, exchange: Exchange, answer: Any) -> None:
        if answer is not None and exchange.user is None:
            exchange.user = self._guard.run(str, answer)  # which may be a method of the app's

    def rejection(self, exchange: Exchange, request: Any, answering: Answering[Answer]) -> Answer:
        """What REJECT_RESPONSE makes of `request`, the framework's own; the default answer where it makes nothing.

        A rejection is never let through. Nothing can be awaited here: an async REJECT_RESPONSE is said to be wrong.
        """
        answer = self._guard.run(self._reject, request)
        if inspect.isawaitable(answer):
            self._cannot_await("REJECT_RESPONSE", "the default answer is sent", answer)
            return answering.default(self.default(exchange))
        made = self._guard.run(self._sendable, answer, answering)
        return answering.default(self.default(exchange)) if made is None else made

    async def rejection_async(self, exchange: Exchange, request: Any, answering: Answering[Answer]) -> Answer:
        """As rejection(), awaited where it is an async function."""
        answer = self._guard.run(self._reject, request)
        if inspect.isawaitable(answer):
            answer = await self._guard.wait(answer)
        made = self._guard.run(self._sendable, answer, answering)
        return answering.default(self.default(exchange)) if made is None else made

    def _reject(self, request: Any) -> Any:
        make = self._reject_response
        return None if make is None else self._guard.run(make, request)

    def _sendable(self, answer: Any, answering: Answering[Answer]) -> Answer | None:
        made = None if answer is None else self._guard.run(answering.read, answer)
        if made is None and self._reject_response is not None:
            kind = "nothing" if answer is None else type(answer).__name__
            text = f"REJECT_RESPONSE gave {kind}, but {answering.wanted} is expected; the default answer is sent"
            self._log.say(logging.ERROR, f"reject_response:{kind}", text)
        return made

    def default(self, exchange: Exchange) -> Rejection:
        """The answer to a rejected request where the app has none of its own."""
        return self._guard.run(self._default, exchange) or _PLAIN

    def _default(self, exchange: Exchange) -> Rejection:
        request = exchange.request
        return rejection(exchange.verdict, ",".join(request.header("accept")), request.method == "HEAD")

    def _cannot_await(self, name: str, instead: str, answer: Any) -> None:
        text = f"{name} is async, but this app is not; {instead}"
        self._guard.run(self._log.say, logging.ERROR, f"async:{name}", text)
        if inspect.iscoroutine(answer):
            answer.close()  # one that nobody awaits would have Python warn about it
