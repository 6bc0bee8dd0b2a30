"""The way in for Django: one middleware for WSGI and ASGI, sync and async."""

from __future__ import annotations

import sys
from asyncio import CancelledError
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.apps import AppConfig
from django.conf import settings as django_settings
from django.core import checks
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

from metlo_otel.agent import Agent
from metlo_otel.capture.streams import TeeInput, teed
from metlo_otel.capture.wsgi import may_have_body
from metlo_otel.contrib.django import traced, tracing_middleware
from metlo_otel.core.callbacks import Answering
from metlo_otel.core.current import CARRIED, current_exchange
from metlo_otel.core.exchange import CLIENT_CLOSED_REQUEST, Exchange
from metlo_otel.core.rejection import Rejection
from metlo_otel.core.request import DecodedRequest, ScopeRequest
from metlo_otel.core.settings import Problem, Settings, SettingsError, read_settings
from metlo_otel.export.enrichment import Answer

# Django makes its middleware anew for every handler (each test client has one): equal settings share one agent.
_AGENTS: dict[Settings, Agent] = {}

_HINTS = {
    "missing": "Add it to METLO_CONFIG in the settings, or set it in the environment.",
    "unknown": "Remove it from METLO_CONFIG, or spell it as one of the names listed.",
    "twice": "Keep one of the two spellings in METLO_CONFIG.",
    "value": "Change the value in METLO_CONFIG, or in the environment variable named.",
}
_IDS = {kind: f"metlo_otel.E{number:03}" for number, kind in enumerate(sorted(_HINTS), 1)}


class MetloDjango:
    """`MIDDLEWARE = [..., "metlo_otel.django.MetloDjango"]` and `METLO_CONFIG = {"API_KEY": …, "METLO_HOST": …, …}`.

    GET_USER is called with the request, and may be async under ASGI. Raises SettingsError when the settings are wrong.
    """

    defaults: Mapping[str, Any] = {}  # settings that METLO_CONFIG has not; they win over the environment
    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self.agent = _agent(self.defaults)
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)
        self._traced: Callable[[HttpRequest], Any] | None = None
        if self.agent.settings.tracing == "instrument":
            self.agent.guard.run(self._trace)

    def _trace(self) -> None:
        spans = tracing_middleware(django_settings)
        if spans is not None:
            self.process_view = spans.process_view
            self.process_exception = spans.process_exception
            self._traced = traced(self._serve, spans, self.agent.guard, self._is_async)

    def __call__(self, request: HttpRequest) -> Any:
        return self._serve(request) if self._traced is None else self._traced(request)

    def _serve(self, request: HttpRequest) -> Any:
        if self._is_async:
            return self._serve_async(request)
        exchange = self.agent.guard.run(self._open, request)
        if exchange is None:
            return self.get_response(request)
        token = current_exchange.set(exchange)
        response = None
        try:
            instead = self._rejected(exchange, request) if self.agent.decides else None
            response = instead or self.get_response(request)
            if self.agent.settings.get_user is not None:
                self.agent.guard.run(self.agent.ask_user_sync, exchange, request)
        finally:
            current_exchange.reset(token)
            self.agent.guard.run(self._note, exchange, request, response)
        return response

    async def _serve_async(self, request: HttpRequest) -> Any:
        exchange = self.agent.guard.run(self._open, request)
        if exchange is None:
            return await self.get_response(request)
        token = current_exchange.set(exchange)
        response = None
        try:
            instead = await self._rejected_async(exchange, request) if self.agent.decides else None
            response = instead or await self.get_response(request)
            waiting = self.agent.guard.run(self.agent.ask_user, exchange, request)
            if waiting is not None:
                await waiting
        finally:
            current_exchange.reset(token)
            self.agent.guard.run(self._note, exchange, request, response)
        return response

    def _rejected(self, exchange: Exchange, request: HttpRequest) -> HttpResponseBase | None:
        """The answer to a rejected request; None for one that passes."""
        ahead = partial(_ahead, exchange, request)
        verdict = self.agent.guard.run(self.agent.judge.decide, exchange, request, ahead)
        if verdict is None or not verdict.blocked:
            return None
        return self.agent.callbacks.rejection(exchange, request, _ANSWERING)

    async def _rejected_async(self, exchange: Exchange, request: HttpRequest) -> HttpResponseBase | None:
        async def ahead(limit: int) -> None:
            _ahead(exchange, request, limit)

        verdict = await self.agent.guard.wait(self.agent.judge.decide_async(exchange, request, ahead))
        if verdict is None or not verdict.blocked:
            return None
        return await self.agent.callbacks.rejection_async(exchange, request, _ANSWERING)

    def _open(self, request: HttpRequest) -> Exchange | None:
        scope = getattr(request, "scope", None)
        exchange = self.agent.open(DecodedRequest(request.META) if scope is None else ScopeRequest(scope))
        request.META[CARRIED] = exchange
        if exchange is not None:
            stream = getattr(request, "_stream", None)  # what request.body, request.POST and request.read() read from
            # Under ASGI a body is told by its messages: in HTTP/2, or behind a gateway, by no header
            if stream is not None and (scope is not None or may_have_body(request.META)):
                request._stream = teed(stream, exchange.request_body)  # type: ignore[assignment]  # a stream by shape
            self.agent.join(exchange)
        return exchange

    def _note(self, exchange: Exchange, request: HttpRequest, response: HttpResponseBase | None) -> None:
        """Note what is known now; status and headers are read at the close, as outer middlewares left them."""
        if response is None:  # what was raised went past Django's own handlers: the server answers, if anybody is there
            exchange.status = CLIENT_CLOSED_REQUEST if isinstance(sys.exc_info()[1], CancelledError) else 500
            exchange.close()
            return
        match = request.resolver_match
        exchange.route = match.route if match is not None else None
        exchange.status = response.status_code
        if not exchange.request_body.size:
            exchange.request_body.add(getattr(request, "_body", b""))  # read by a middleware outside of this one
        exchange.response_headers = _items(response)
        if response.streaming:
            self._tee(exchange, request, response)
        else:
            exchange.response_body.add(response.content)  # type: ignore[attr-defined]  # streaming is False
        if exchange.live is not None:
            self.agent.enrich(exchange, _answer, response)
        response._resource_closers.append(partial(_closed, exchange, response))  # type: ignore[attr-defined]  # its only list

    def _tee(self, exchange: Exchange, request: HttpRequest, response: Any) -> None:
        self.agent.streaming(exchange)
        exchange.response_headers = _headers(response)
        if response.is_async:
            response.streaming_content = _AsyncTee(response.streaming_content, exchange)
        elif getattr(response, "file_to_stream", None) is None or "wsgi.file_wrapper" not in request.META:
            response.streaming_content = _tee(response.streaming_content, exchange)


def _ahead(exchange: Exchange, request: HttpRequest, limit: int) -> None:
    """Read the body's beginning for the rules, from where the view will read it again."""
    if hasattr(request, "_body"):  # read by a middleware outside of this one
        exchange.request_body.add(request._body)
    elif isinstance(request._stream, TeeInput):
        request._stream.ahead(limit)


def _response(answer: Any) -> HttpResponseBase | None:
    """What REJECT_RESPONSE gave, if it is a response; Django renders those that have a template for views alone."""
    if not isinstance(answer, HttpResponseBase):
        return None
    return answer if getattr(answer, "is_rendered", True) else answer.render()  # type: ignore[attr-defined]  # it has both


def _default(rejection: Rejection) -> HttpResponseBase:
    return HttpResponse(rejection.body, status=rejection.status, headers=dict(rejection.headers))


_ANSWERING = Answering("an HttpResponse", _response, _default)


class _AsyncTee:
    """An async stream, each chunk noted and handed on; its end is the exchange's too, as nobody may close it."""

    def __init__(self, stream: AsyncIterator[bytes], exchange: Exchange) -> None:
        self._next = aiter(stream).__anext__
        self._exchange = exchange

    def __aiter__(self) -> _AsyncTee:
        return self

    async def __anext__(self) -> bytes:
        chunk = None
        try:
            chunk = await self._next()
        finally:
            if chunk is None:
                self._exchange.close()
        self._exchange.response_body.add(chunk)
        return chunk


def _tee(stream: Iterable[bytes], exchange: Exchange) -> Iterator[bytes]:
    try:
        for chunk in stream:
            exchange.response_body.add(chunk)
            yield chunk
    finally:
        exchange.close()


def _closed(exchange: Exchange, response: HttpResponseBase) -> None:
    exchange.status = response.status_code
    exchange.response_headers = _headers(response)
    exchange.close()


def _answer(response: HttpResponseBase) -> Answer:
    return response.status_code, _headers(response), ()


def _headers(response: HttpResponseBase) -> list[tuple[str, str]]:
    headers = list(_items(response))
    if response.cookies:
        headers += [("Set-Cookie", cookie.OutputString()) for cookie in response.cookies.values()]
    return headers


def _items(response: HttpResponseBase) -> Iterable[tuple[str, str]]:
    """The headers; from where Django keeps them, if that is what it sends: items() takes 100 steps for two headers."""
    store = getattr(response.headers, "_store", None)
    if type(store) is dict and type(response).items is HttpResponseBase.items:
        return store.values()
    return response.items()


def _agent(defaults: Mapping[str, Any]) -> Agent:
    """The agent for METLO_CONFIG. Raises MiddlewareNotUsed when it is DISABLED, SettingsError when it is wrong."""
    options = getattr(django_settings, "METLO_CONFIG", {})
    settings = read_settings(options, defaults)
    if settings.disabled:
        raise MiddlewareNotUsed("metlo_otel is DISABLED")
    if settings not in _AGENTS:
        _AGENTS[settings] = Agent(settings)
    return _AGENTS[settings]


@checks.register("metlo_otel")
def check_settings(**_: Any) -> list[checks.CheckMessage]:
    """What `manage.py check` says of METLO_CONFIG and of the METLO_ variables: one error with id and hint a problem."""
    try:
        read_settings(getattr(django_settings, "METLO_CONFIG", {}))
    except SettingsError as error:
        return [_message(problem) for problem in error.problems]
    return []


def _message(problem: Problem) -> checks.Error:
    return checks.Error(
        f"METLO_CONFIG: {problem.name}: {problem.message}", hint=_HINTS[problem.kind], id=_IDS[problem.kind]
    )


class MetloConfig(AppConfig):
    """`INSTALLED_APPS = [..., "metlo_otel.django.MetloConfig"]`: lets `manage.py check` see METLO_CONFIG."""

    name = "metlo_otel.django"
    label = "metlo_otel"
    verbose_name = "Metlo"
