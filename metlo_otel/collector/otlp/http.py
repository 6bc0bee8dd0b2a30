"""OTLP/HTTP: `POST /v1/traces` in protobuf or JSON, answered as the OTLP specification (1.x) has it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response

from metlo_otel.collector.answers import Json
from metlo_otel.collector.intake import Accepted, RefusedError
from metlo_otel.collector.keys import Grant
from metlo_otel.collector.otlp.from_json import read_otlp_json
from metlo_otel.collector.otlp.reader import Reader, Taken
from metlo_otel.collector.otlp.spans import Batch, OtlpError
from metlo_otel.collector.services import add_calls
from metlo_otel.collector.writer import BusyError

if TYPE_CHECKING:
    from metlo_otel.collector.api import Api
    from metlo_otel.collector.store import Store

LOG = logging.getLogger("metlo_otel.collector")

PROTOBUF, JSON = "application/x-protobuf", "application/json"
_BINARY = (PROTOBUF, "application/protobuf")
MAX_BODY = 4 * 1024 * 1024  # bytes, decoded: the limit that gRPC has by itself
NEEDED = "OTLP in protobuf needs an extra: pip install 'metlo-otel[otlp]'; or have the exporter send http/json"

_ACCEPTED = Accepted((*_BINARY, JSON), MAX_BODY)
_CODES = {400: 3, 401: 16, 408: 4, 413: 8, 415: 3, 503: 14}  # google.rpc.Code


class OtlpApi:
    """The handler, beside the API of agents."""

    def __init__(self, store: Store, api: Api) -> None:
        self._store = store
        self._api = api
        self._reader = Reader(store)
        self._analysts = anyio.CapacityLimiter(1)

    async def traces(self, request: Request) -> Response:
        """`POST /v1/traces`: 200 once every span that is not rejected is durable."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        try:
            async with self._api.body(request, _ACCEPTED, api_key(request.headers)) as (body, grant):
                try:
                    batch, taken = await to_thread.run_sync(self._read, kind, body, limiter=self._analysts)
                    keep_own(batch, taken, grant)
                except BusyError:
                    raise RefusedError(503, "too much is waiting to be stored; try again") from None
                await self._api.stored(lambda: store_all(self._store, taken))
        except RefusedError as problem:
            return _refusal(kind, problem)
        return _outcome(kind, batch)

    def _read(self, kind: str, body: bytes) -> tuple[Batch, Taken]:
        try:
            batch = decoder(kind)(body)
        except OtlpError as problem:
            raise RefusedError(400, str(problem)) from None
        return batch, self._reader.read(batch)


def decoder(kind: str) -> Callable[[bytes], Batch]:
    """What reads bodies of a media type. Raises RefusedError (415) where what it needs is not installed."""
    if kind == JSON:
        return read_otlp_json
    try:
        from metlo_otel.collector.otlp.from_protobuf import read_protobuf
    except ImportError:
        raise RefusedError(415, NEEDED) from None
    return read_protobuf


def api_key(headers: Mapping[str, str]) -> str:
    """The key of `Authorization`, with or without `Bearer`, or of `api-key`, as OTEL_EXPORTER_OTLP_HEADERS gives it."""
    given = headers.get("authorization", "").strip()
    scheme, _, rest = given.partition(" ")
    return (rest.strip() if scheme.lower() == "bearer" else given) or headers.get("api-key", "").strip()


def keep_own(batch: Batch, taken: Taken, grant: Grant) -> None:
    """Leave out requests to hosts and of services that a key is not for, and calls of such services."""
    looked_at = [(trace, grant.foreign(trace.host, trace.service)) for trace in taken.traces]
    reasons = [foreign[1] for _, foreign in looked_at if foreign]
    if reasons:
        taken.traces = [trace for trace, foreign in looked_at if not foreign]
        batch.reject(reasons[0], len(reasons))
    taken.calls = [call for call in taken.calls if grant.serves(call.caller)]


def store_all(store: Store, taken: Taken) -> list[Future[Any]]:
    """Futures of what a batch told. Raises BusyError."""
    futures: list[Future[Any]] = []
    if taken.traces:
        futures.append(store.add(taken.traces))
    if taken.calls:
        now = time.time_ns() // 1_000_000
        futures.append(store.change(partial(add_calls, calls=taken.calls, now=now)))
    return futures


def told(batch: Batch) -> str:
    """What is said of spans that were not taken; logged as well."""
    if not batch.rejected:
        return ""
    LOG.warning("%d spans rejected, the first: %s", batch.rejected, batch.reason)
    return f"{batch.rejected} spans were not taken, the first: {batch.reason}"[:1000]


def _outcome(kind: str, batch: Batch) -> Response:
    message = told(batch)
    if kind == JSON:
        partly = {"partialSuccess": {"rejectedSpans": str(batch.rejected), "errorMessage": message}}
        return Json(partly if message else {})
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    answer = ExportTraceServiceResponse()
    if message:
        answer.partial_success.rejected_spans = batch.rejected
        answer.partial_success.error_message = message
    return Response(answer.SerializeToString(), media_type=PROTOBUF)


def _refusal(kind: str, problem: RefusedError) -> Response:
    """A google.rpc.Status. Exporters send again after 503 alone, and wait for as long as Retry-After says."""
    headers = {"Retry-After": "1"} if problem.status == 503 else {}
    if problem.status in (401, 408, 413, 415):
        headers["Connection"] = "close"
    code = _CODES.get(problem.status, 2)
    if kind in _BINARY:
        try:
            from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
        except ImportError:
            pass
        else:
            body = Status(code=code, message=problem.reason).SerializeToString()
            return Response(body, problem.status, headers, PROTOBUF)
    return Json({"code": code, "message": problem.reason}, problem.status, headers)
