"""The HTTP surface that agents speak to, and the JSON that people and programs read."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import anyio
from anyio import to_thread
from sqlalchemy import Connection
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from metlo_otel.collector import queries
from metlo_otel.collector.answers import HANDLERS, Json
from metlo_otel.collector.arrival import Arrival
from metlo_otel.collector.configuration import is_current, read_document, read_version
from metlo_otel.collector.health import Health
from metlo_otel.collector.intake import (
    TRACES,
    Accepted,
    Budget,
    Incoming,
    RefusedError,
    Share,
    check_headers,
    find_decoder,
    read_body,
)
from metlo_otel.collector.jsontext import JsonError, read_json
from metlo_otel.collector.keys import Grant
from metlo_otel.collector.metrics import Measuring, Metrics
from metlo_otel.collector.otlp.http import OtlpApi
from metlo_otel.collector.store import Store
from metlo_otel.collector.sums import Sums
from metlo_otel.collector.sums_wire import SumsReader
from metlo_otel.collector.trace import Trace, TraceError, read_trace
from metlo_otel.collector.writer import BusyError

LOG = logging.getLogger("metlo_otel.collector")

_BODY_TIME = 30.0  # seconds in which a request's body must be here
_DRAINED = 8 * 1024 * 1024  # bytes of a refused body that are read, so that the client gets to read the answer
_DRAIN_TIME = 3.0  # seconds for the same
_SHOWN = 100  # rejected traces that an answer tells about
_READERS = 4  # threads that read from the database at once
_OWN = "metlo-otel/"  # how the User-Agent of our own agents begins
_VERSIONS = {"1": 1, "2": 2}  # of the form of traces
_POLL = 2  # seconds after which agents are told to ask for agent-config again
_BELIEVED = 30.0  # seconds for which a document that was made is served, unless somebody changes something

Handler = Callable[[Request], Awaitable[Response]]
Checked = tuple[list[Trace], list[dict[str, Any]]]


def make_app(store: Store, more: Sequence[BaseRoute] = ()) -> Starlette:
    """The collector as an ASGI app on an open store, with `more` routes; who opened the store closes it."""
    api, metrics = Api(store), Metrics(store)
    routes = [
        *Health(store).routes,
        Route("/metrics", api.metrics(metrics), methods=["GET"]),
        Route("/api/v1", api.greet, methods=["GET"]),
        Route("/api/v1/verify", api.verify, methods=["GET"]),
        Route("/api/v1/agent-config", api.agent_config, methods=["GET"]),
        Route("/api/v{version}/log-request/{form}", api.log_request, methods=["POST"]),
        Route("/api/v1/aggregates", api.aggregates, methods=["POST"]),
        Route("/api/v1/traces", api.page("traces", queries.find_traces), methods=["GET"]),
        Route("/api/v1/traces/{id}", api.trace, methods=["GET"]),
        Route("/api/v1/endpoints", api.page("endpoints", queries.find_endpoints), methods=["GET"]),
        Route("/api/v1/attacks", api.page("attacks", queries.find_attacks), methods=["GET"]),
        Route("/api/v1/actors", api.page("actors", queries.find_actors), methods=["GET"]),
        Route("/api/v1/services", api.page("endpoints", queries.find_services), methods=["GET"]),
        Route("/api/v1/service-calls", api.service_calls, methods=["GET"]),
        Route("/api/v1/alerts", api.page("alerts", queries.find_alerts), methods=["GET"]),
        Route("/v1/traces", OtlpApi(store, api).traces, methods=["POST"]),
        *more,
    ]
    return Starlette(routes=routes, exception_handlers=HANDLERS, middleware=[Middleware(Measuring, metrics=metrics)])


class Api:
    """The handlers, around one store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._budget = Budget()
        self._readers = anyio.CapacityLimiter(_READERS)
        self._analysts = anyio.CapacityLimiter(1)
        self._arrival = Arrival(store)
        self._sums = SumsReader()
        self._documents: dict[bool, tuple[str, float, bytes, str]] = {}

    async def greet(self, _request: Request) -> Response:
        """`GET /api/v1`: whether there is a backend; needs no key."""
        return PlainTextResponse("OK")

    async def verify(self, request: Request) -> Response:
        """`GET /api/v1/verify`: whether the key is valid."""
        if await self._find_grant(request) is not None:
            return PlainTextResponse("OK")
        return PlainTextResponse("Client unauthorized", 401)

    async def agent_config(self, request: Request) -> Response:
        """`GET /api/v1/agent-config`: 304 where If-None-Match names what is in force. Cache-Control says when to ask
        again, so that what somebody changes is in force within seconds.
        """
        await self._authenticate(request)
        own = request.headers.get("user-agent", "").startswith(_OWN)
        document, etag = await self._read(partial(self._document, own=own))
        headers = {"ETag": etag, "Cache-Control": f"private, max-age={_POLL}", "Vary": "User-Agent, Authorization"}
        if is_current(etag, request.headers.get("if-none-match", "")):
            return Response(status_code=304, headers=headers)
        return Response(document, media_type="application/json", headers=headers)

    async def log_request(self, request: Request) -> Response:
        """`POST /api/v{1,2}/log-request/{single,batch}`: 200 once every trace that is not rejected is durable."""
        version, form = request.path_params["version"], request.path_params["form"]
        if version not in _VERSIONS or form not in ("single", "batch"):
            raise HTTPException(404)
        async with self.body(request) as (body, grant):
            traces, rejected = await self._check(_items(body, form), _VERSIONS[version], grant)
            if traces:
                await self.stored(lambda: [self._store.add(traces)])
            return _outcome(len(traces), rejected)

    async def aggregates(self, request: Request) -> Response:
        """`POST /api/v1/aggregates`: 200 once the sums of an agent's requests are durable; of a wrong document none."""
        async with self.body(request) as (body, grant):
            try:
                sums = own_sums(self._sums.read(_json(body)), grant)
            except TraceError as problem:
                LOG.warning("sums rejected: %s", problem)
                raise RefusedError(400, str(problem)) from None
            await self.stored(lambda: [self._store.add_sums(sums)])
            return PlainTextResponse("OK")

    async def trace(self, request: Request) -> Response:
        """`GET /api/v1/traces/{id}`: one trace, whole."""
        await self._authenticate_reader(request, "traces")
        number = request.path_params["id"]
        try:
            found = await self._read(partial(queries.read_one, trace=number))
        except queries.FilterError as problem:
            raise RefusedError(400, str(problem)) from None
        if found is None:
            raise RefusedError(404, f"there is no trace {number}; only the latest of each endpoint are kept")
        return Json(found)

    async def service_calls(self, request: Request) -> Response:
        """`GET /api/v1/service-calls`: which service called which."""
        await self._authenticate_reader(request, "endpoints")
        return Json({"items": await self._read(queries.service_calls), "next": None})

    def metrics(self, metrics: Metrics) -> Handler:
        """A handler that answers Prometheus."""

        async def answer(request: Request) -> Response:
            await self._authenticate_reader(request, "metrics")
            write = partial(metrics.write, request.headers.get("accept", ""))
            text, media_type = await to_thread.run_sync(write, limiter=self._readers)
            return Response(text, headers={"Content-Type": media_type})

        return answer

    def page(self, scope: str, find: Callable[..., queries.Page]) -> Handler:
        """A handler that answers a page of what `find` finds for the query's parameters, to who may read `scope`."""

        async def answer(request: Request) -> Response:
            await self._authenticate_reader(request, scope)
            try:
                page = await self._read(partial(find, parameters=dict(request.query_params)))
            except queries.FilterError as problem:
                raise RefusedError(400, str(problem)) from None
            total = {} if page.total is None else {"total": page.total}
            return Json({"items": page.items, "next": page.next, **total})

        return answer

    async def _check(self, items: list[Any], version: int, grant: Grant) -> Checked:
        """Raw traces are analysed, which takes a while: on a thread of its own, one batch after the other."""
        if version == 2:
            return check(items, bound(lambda item: read_trace(item, 2), grant))
        try:
            return await to_thread.run_sync(self._analyse, items, grant, limiter=self._analysts)
        except BusyError:
            raise RefusedError(503, "too much is waiting to be stored; try again") from None

    def _analyse(self, items: list[Any], grant: Grant) -> Checked:
        return check(items, bound(self._arrival.reader(), grant))

    @asynccontextmanager
    async def body(
        self, request: Request, accepted: Accepted = TRACES, key: str | None = None
    ) -> AsyncIterator[tuple[bytes, Grant]]:
        """The body of an agent's POST and what its key is good for; where it is refused, the rest of it is read. `key`
        is who sends it, where the Authorization header alone does not say.
        """
        share, body = self._budget.share(), Incoming(request.receive)
        try:
            grant = await self._authenticate(request, key)
            yield await _receive(request, body, share, accepted), grant
        except RefusedError:
            await _drain(body)
            raise
        finally:
            share.release()

    @staticmethod
    async def stored(add: Callable[[], Sequence[Future[Any]]]) -> None:
        """Wait until something is durable."""
        try:
            await asyncio.gather(*map(asyncio.wrap_future, add()))
        except BusyError:
            raise RefusedError(503, "too much is waiting to be stored; try again") from None

    async def _authenticate(self, request: Request, key: str | None = None) -> Grant:
        grant = await self._find_grant(request, key=key)
        if grant is None:
            raise RefusedError(401, "Client unauthorized: the Authorization header is not a valid API key")
        return grant

    async def _authenticate_reader(self, request: Request, scope: str) -> None:
        """An agent's key is in every app's settings; it does not open what all of them sent."""
        grant = await self._find_grant(request, reads=True)
        if grant is None:
            raise RefusedError(
                401, "the Authorization header is not a key for reading; the dashboard's settings make one"
            )
        if not grant.reads(scope):
            raise RefusedError(403, f"this token is not for reading {scope}")

    async def _find_grant(self, request: Request, reads: bool = False, key: str | None = None) -> Grant | None:
        if not self._store.keys.is_fresh:
            await to_thread.run_sync(self._store.keys.refresh, limiter=self._readers)
        return self._store.keys.find(_key_of(request, reads) if key is None else key, reads)

    def _document(self, connection: Connection, own: bool) -> tuple[bytes, str]:
        """The agent-config and its ETag, made anew when its version is another one; where that fails, the one before
        stays in force.
        """
        version, now = read_version(connection), time.monotonic()
        known = self._documents.get(own)
        if known is None or known[0] != version or now - known[1] > _BELIEVED:
            try:
                made = read_document(connection, own)
            except (TypeError, ValueError, KeyError) as problem:
                if known is None:
                    raise
                LOG.error("agents keep the configuration before, for this one cannot be served: %s", problem)
                made = known[2:]
            known = self._documents[own] = (version, now, *made)
        return known[2], known[3]

    async def _read(self, query: Callable[..., Any]) -> Any:
        return await to_thread.run_sync(self._store.read, query, limiter=self._readers)


def _key_of(request: Request, reads: bool) -> str:
    """The key; who reads may put a word before it, as Prometheus does (RFC 6750)."""
    given = request.headers.get("authorization", "")
    return given[7:].strip() if reads and given[:7].lower() == "bearer " else given


async def _receive(request: Request, body: Incoming, share: Share, accepted: Accepted) -> bytes:
    check_headers(request.headers, accepted)
    decoder = find_decoder(request.headers)
    try:
        with anyio.fail_after(_BODY_TIME):
            return await read_body(body.chunks(), decoder, share, accepted)
    except TimeoutError:
        raise RefusedError(408, f"the body was not here within {_BODY_TIME:.0f} seconds") from None


def _json(body: bytes) -> Any:
    try:
        return read_json(body)
    except JsonError as problem:
        raise RefusedError(400, str(problem)) from None


def _items(body: bytes, form: str) -> list[Any]:
    value = _json(body)
    if form == "single":
        return [value]
    if isinstance(value, list):
        return value
    raise RefusedError(400, "a batch is a JSON array of traces")


def own_sums(sums: Sums, grant: Grant) -> Sums:
    """The sums of hosts that a key is for: who calls an app decides on hosts, and must not have the others be lost.

    Raises TraceError for a service that it is not for: that is the app's own word.
    """
    if not grant.serves(sums.service):
        raise TraceError("service", grant.other_service(sums.service))
    if grant.hosts is None:
        return sums
    return replace(sums, series={key: each for key, each in sums.series.items() if grant.sends(key.host)})


def bound(read: Callable[[Any], Trace], grant: Grant) -> Callable[[Any], Trace]:
    """`read`, for a key that may be bound to hosts and services."""
    if grant.hosts is None and grant.services is None:
        return read

    def read_own(item: Any) -> Trace:
        trace = read(item)
        if foreign := grant.foreign(trace.host, trace.service):
            raise TraceError(*foreign)
        return trace

    return read_own


def check(items: list[Any], read: Callable[[Any], Trace]) -> Checked:
    """The traces that can be stored, and for each other one its index and what is wrong with it."""
    traces, rejected = [], []
    for index, item in enumerate(items):
        try:
            traces.append(read(item))
        except TraceError as problem:
            rejected.append({"index": index, "where": problem.where, "reason": problem.reason})
    return traces, rejected


def _outcome(accepted: int, rejected: list[dict[str, Any]]) -> Response:
    """`OK` where all were stored, else what was not; 400 where none was."""
    if not rejected:
        return PlainTextResponse("OK")
    first = rejected[0]
    LOG.warning("%d traces rejected, the first: %s: %s", len(rejected), first["where"], first["reason"])
    report = {"accepted": accepted, "rejected": len(rejected), "problems": rejected[:_SHOWN]}
    if accepted:
        return Json(report)
    return Json({"error": f"{first['where']}: {first['reason']}", **report}, 400)


async def _drain(body: Incoming) -> None:
    """Read what is left of a refused body, within bounds: closing on unread bytes would tear up the answer."""
    left = _DRAINED
    with anyio.move_on_after(_DRAIN_TIME):
        async for chunk in body.chunks():
            left -= len(chunk)
            if left < 0:
                return
