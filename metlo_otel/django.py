"""The way in for Django: one middleware for WSGI and ASGI, sync and async."""

from __future__ import annotations

import logging
import sys
from asyncio import CancelledError
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from contextlib import suppress
from functools import partial
from importlib import import_module
from typing import Any, ClassVar

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.apps import AppConfig
from django.conf import settings as django_settings
from django.core import checks
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden
from django.http.response import HttpResponseBase
from django.utils.module_loading import import_string

from metlo_otel.agent import Agent
from metlo_otel.blocking.control import check_rules
from metlo_otel.capture.ahead import ReadAhead
from metlo_otel.capture.django import Ending, headers, route
from metlo_otel.capture.django_read import note_read
from metlo_otel.capture.streams import TeeInput, teed
from metlo_otel.capture.wsgi import may_have_body
from metlo_otel.contrib import require
from metlo_otel.contrib.django import traced, tracing_middleware
from metlo_otel.core.callbacks import Answering
from metlo_otel.core.current import current_exchange
from metlo_otel.core.exchange import CLIENT_CLOSED_REQUEST, Exchange
from metlo_otel.core.late import LateDecision
from metlo_otel.core.nesting import carried, carry, tell_outer
from metlo_otel.core.rejection import Rejection
from metlo_otel.core.request import DecodedRequest, Request, ScopeRequest
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
_PATH = "metlo_otel.django.MetloDjango"
_MISPLACED = (
    f"{_PATH} comes in MIDDLEWARE after one that reads the request's body: that one acts on it before any rule is "
    "asked, and what Django has not kept of it no rule and no trace sees; move MetloDjango in front of it"
)
_TWICE = f"{_PATH} is twice in MIDDLEWARE: the inner one does nothing; remove one"
_NUMBERS = {kind: number for number, kind in enumerate(sorted(_HINTS), 1)}  # of the checks' ids


class MetloDjango:
    """`MIDDLEWARE = [..., "metlo_otel.django.MetloDjango"]` and `METLO_CONFIG = {"API_KEY": …, "METLO_HOST": …, …}`.

    GET_USER is called with the request, and may be async under ASGI. Raises SettingsError when the settings are wrong.
    """

    defaults: Mapping[str, Any] = {}  # settings that METLO_CONFIG has not; they win over the environment
    stand_in: ClassVar[type[MetloDjango] | None] = None  # what serves the apps that have no MetloDjango, where one does
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
        guard = self.agent.guard
        ending = guard.run(self._open, request)
        if type(ending) is not Ending:
            return self.get_response(request)
        token = current_exchange.set(ending.exchange)
        response = None
        try:
            instead = guard.run(self._rejected, ending.exchange, request)
            response = instead if isinstance(instead, HttpResponseBase) else self.get_response(request)
            if ending.exchange.late is not None:
                refusal = guard.run(self._refused, ending.exchange, ending.exchange.late, request, response)
                if isinstance(refusal, HttpResponseBase):
                    response = refusal
                elif ending.exchange.late.refused:
                    response = HttpResponseForbidden()
                ending.exchange.late.refused, ending.exchange.late.begun = False, True
            guard.run(self.agent.ask_user_sync, ending.exchange, request)
        finally:
            guard.run(current_exchange.reset, token)
            guard.run(self._note, ending, response)
        return response

    async def _serve_async(self, request: HttpRequest) -> Any:
        guard = self.agent.guard
        ending = guard.run(self._open, request)
        if type(ending) is not Ending:
            return await self.get_response(request)
        token = current_exchange.set(ending.exchange)
        response = None
        try:
            instead = await guard.wait(self._rejected_async(ending.exchange, request))
            response = instead if isinstance(instead, HttpResponseBase) else await self.get_response(request)
            waiting = guard.run(self.agent.ask_user, ending.exchange, request)
            if waiting is not None:
                await guard.wait(waiting)
        finally:
            guard.run(current_exchange.reset, token)
            guard.run(self._note, ending, response)
        return response

    def _rejected(self, exchange: Exchange, request: HttpRequest) -> HttpResponseBase | None:
        """The answer to a rejected request; None for one that passes."""
        if self.agent.awaits_rules:
            self.agent.wait_for_rules()
        if not self.agent.decides:
            return None
        verdict = self.agent.judge.decide(exchange, request, partial(_ahead, self.agent, exchange, request))
        return self.agent.callbacks.rejection(exchange, request, _ANSWERING) if verdict.blocked else None

    def _refused(
        self, exchange: Exchange, late: LateDecision, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase | None:
        """The rejection, where the request was rejected while the view read its body; the view's answer is dropped."""
        if late.answers() is not True:
            return None
        refusal: HttpResponseBase = self.agent.callbacks.rejection(exchange, request, _ANSWERING)
        for closer in vars(response)["_resource_closers"]:  # the whole close() would tell of the request's end
            self.agent.guard.run(closer)
        return refusal

    async def _rejected_async(self, exchange: Exchange, request: HttpRequest) -> HttpResponseBase | None:
        if self.agent.awaits_rules:
            await self.agent.wait_for_rules_async()
        if not self.agent.decides:
            return None

        async def ahead(limit: int) -> None:
            _ahead(self.agent, exchange, request, limit)

        verdict = await self.agent.judge.decide_async(exchange, request, ahead)
        if not verdict.blocked:
            return None
        return await self.agent.callbacks.rejection_async(exchange, request, _ANSWERING)

    def _open(self, request: HttpRequest) -> Ending | None:
        scope = getattr(request, "scope", None)
        raw = _raw(request.META) if scope is None else ScopeRequest(scope)
        if self._is_twice(request):
            return None
        exchange = self.agent.open(raw, _outer(request.META if scope is None else scope, raw))
        carry(request.META, exchange if isinstance(exchange, Exchange) else None)
        if not isinstance(exchange, Exchange):
            return None
        ending = Ending(request, exchange, self.agent.guard)
        self.agent.guard.run(self._attach, ending, scope)
        return ending

    def _attach(self, ending: Ending, scope: Any) -> None:
        request, exchange = ending.request, ending.exchange
        ending.listen()
        self.agent.join(exchange)
        if note_read(request, exchange):
            self._warn(_MISPLACED)
            return
        stream = getattr(request, "_stream", None)  # what request.body, request.POST and request.read() read from
        # Under ASGI a body is told by its messages: in HTTP/2, or behind a gateway, by no header
        if stream is not None and (scope is not None or may_have_body(request.META)):
            request._stream = teed(stream, exchange.request_body)

    def _is_twice(self, request: HttpRequest) -> bool:
        """Whether the agent further out in MIDDLEWARE reports this very request."""
        ending = vars(request).get("close")
        if type(ending) is not Ending or ending.request is not request:
            return False
        self._warn(_TWICE)
        return True

    def _warn(self, text: str) -> None:
        self.agent.guard.log.say(logging.WARNING, text, text)

    def _note(self, ending: Ending, response: HttpResponseBase | None) -> None:
        """Note what is known now; status and headers are read at the close, as outer middlewares left them."""
        exchange, request = ending.exchange, ending.request
        exchange.route = self.agent.guard.run(route, request)
        if response is None:  # what was raised went past Django's own handlers: the server answers, if anybody is there
            exchange.status = CLIENT_CLOSED_REQUEST if isinstance(sys.exc_info()[1], CancelledError) else 500
            ending.gone()
            return
        ending.note(response)
        if exchange.outer is not None:  # whose report may be closed before this one's
            self.agent.guard.run(tell_outer, exchange)
        if response.streaming:
            self.agent.streaming(exchange)
        if exchange.live is not None:
            self.agent.enrich(exchange, _answer, response)


def _outer(carrier: MutableMapping[str, Any], raw: Request) -> Exchange | None:
    """The exchange that another agent, around this site, has open for this very request.

    A request that the app makes of it carries its exchange too, but is another one, for rules as well.
    """
    outer = carried(carrier)
    if outer is None:
        return None
    asked = outer.request
    same = (asked.method, asked.path, asked.query) == (raw.method, raw.path, raw.query)
    return outer if same else None


def _raw(meta: Mapping[str, Any]) -> Request:
    raw = DecodedRequest(meta)
    mount = raw.environ.get("SCRIPT_NAME")
    if mount and mount[-1] == "/":  # of FORCE_SCRIPT_NAME; Django's paths have one slash there
        raw.environ["SCRIPT_NAME"] = mount.rstrip("/")
    return raw


def _ahead(agent: Agent, exchange: Exchange, request: HttpRequest, limit: int) -> None:
    """Note the body's beginning for the rules; the view reads it as if nobody had."""
    stream = getattr(request, "_stream", None)
    if exchange.request_body.size or exchange.incomplete:  # read by a middleware outside of this one
        return
    if not hasattr(request, "scope"):
        ReadAhead(exchange, request.META, stream, agent.settings.read_ahead_wait, agent.guard)(limit)
    elif isinstance(stream, TeeInput):  # under ASGI Django has received all of it before
        stream.ahead(limit)


def _response(answer: Any) -> HttpResponseBase | None:
    """What REJECT_RESPONSE gave, if it is a response; Django renders those that have a template for views alone."""
    if not isinstance(answer, HttpResponseBase):
        return None
    return answer if getattr(answer, "is_rendered", True) else answer.render()  # type: ignore[attr-defined]  # it has both


def _default(rejection: Rejection) -> HttpResponseBase:
    return HttpResponse(rejection.body, status=rejection.status, headers=dict(rejection.headers))


_ANSWERING = Answering("an HttpResponse", _response, _default)


def _answer(response: HttpResponseBase) -> Answer:
    return response.status_code, headers(response), ()


def _agent(defaults: Mapping[str, Any]) -> Agent:
    """The agent for METLO_CONFIG. Raises MiddlewareNotUsed when it is DISABLED, SettingsError when it is wrong."""
    options = getattr(django_settings, "METLO_CONFIG", {})
    settings = read_settings(options, defaults)
    if settings.disabled:
        raise MiddlewareNotUsed("metlo_otel is DISABLED")
    require(settings, "django")
    if settings not in _AGENTS:
        _AGENTS[settings] = Agent(settings)
    return _AGENTS[settings]


def ours(paths: Sequence[str]) -> list[type[MetloDjango]]:
    """Those of MIDDLEWARE that are the agent; what cannot be imported is none, as Django says in a moment."""
    found = []
    for path in paths:
        with suppress(ImportError):
            middleware = import_string(path)
            if isinstance(middleware, type) and issubclass(middleware, MetloDjango):
                found.append(middleware)
    return found


@checks.register("metlo_otel")
def check_settings(**_: Any) -> list[checks.CheckMessage]:
    """What `manage.py check` says of METLO_CONFIG and of the METLO_ variables: one message with id and hint a problem.

    They are read as what serves the app reads them. Where that is zero code a problem is a warning: the app starts.
    """
    import_module("django.core.handlers.base")  # whose import zero code waits for
    given = ours(django_settings.MIDDLEWARE)
    serving = given[0] if given else MetloDjango.stand_in
    layer = MetloDjango.defaults if serving is None else serving.defaults
    try:
        settings = read_settings(getattr(django_settings, "METLO_CONFIG", {}), layer)
        require(settings, "django")
        check_rules(settings)
    except SettingsError as error:
        make = checks.Warning if serving is not None and serving is MetloDjango.stand_in else checks.Error
        return [_message(problem, make) for problem in error.problems]
    if len(given) > 1:
        return [checks.Warning(_TWICE, hint="Keep the first.", id="metlo_otel.W005")]
    if serving is None and not settings.disabled:
        return [checks.Warning(f"{_PATH} is not in MIDDLEWARE: nothing is captured or blocked", id="metlo_otel.W006")]
    return []


def _message(problem: Problem, make: type[checks.Error] | type[checks.Warning]) -> checks.CheckMessage:
    letter = "E" if make is checks.Error else "W"
    text = f"METLO_CONFIG: {problem.name}: {problem.message}"
    return make(text, hint=_HINTS[problem.kind], id=f"metlo_otel.{letter}{_NUMBERS[problem.kind]:03}")


class MetloConfig(AppConfig):
    """`INSTALLED_APPS = [..., "metlo_otel.django.MetloConfig"]`: lets `manage.py check` see METLO_CONFIG."""

    name = "metlo_otel.django"
    label = "metlo_otel"
    verbose_name = "Metlo"
