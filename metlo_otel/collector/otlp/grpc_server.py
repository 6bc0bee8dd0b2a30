"""OTLP/gRPC: the TraceService, in threads of the collector's process alone, for gRPC does not survive a fork."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)
from sqlalchemy.exc import SQLAlchemyError

from metlo_otel.collector.database import is_unavailable, reason_of
from metlo_otel.collector.keys import Grant
from metlo_otel.collector.otlp.from_protobuf import read_message
from metlo_otel.collector.otlp.http import MAX_BODY, api_key, keep_own, store_all, told
from metlo_otel.collector.otlp.reader import Reader
from metlo_otel.collector.otlp.spans import OtlpError
from metlo_otel.collector.store import Store
from metlo_otel.collector.writer import BusyError

LOG = logging.getLogger("metlo_otel.collector")

_THREADS = 4
_CALLS = 32  # at once; more are answered with RESOURCE_EXHAUSTED
_END = 5.0  # seconds that calls have to finish in when the collector ends
_STORED = 60.0  # seconds in which a batch is durable
_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_BODY),
    ("grpc.max_metadata_size", 65_536),
    ("grpc.max_concurrent_streams", _CALLS),
    ("grpc.so_reuseport", 0),
)


@contextmanager
def grpc_server(store: Store, host: str, port: int) -> Iterator[int]:
    """Serve within the block; the port that is listened on, which is a free one for 0. Raises OSError."""
    pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="metlo-otel-otlp")
    server = grpc.server(pool, options=_OPTIONS, maximum_concurrent_rpcs=_CALLS)
    add_TraceServiceServicer_to_server(_Service(store), server)  # type: ignore[no-untyped-call]  # generated code
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        bound = server.add_insecure_port(address)
    except RuntimeError as problem:
        raise OSError(f"cannot listen on {address} for OTLP/gRPC: {problem}") from None
    server.start()
    try:
        yield bound
    finally:
        server.stop(_END).wait()
        pool.shutdown()


class _Service(TraceServiceServicer):
    def __init__(self, store: Store) -> None:
        self._store = store
        self._reader = Reader(store)

    def Export(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 - the service's name for it
        """Take a batch; answered once it is durable."""
        grant = self._authenticate(context)
        try:
            batch = read_message(request)
            taken = self._reader.read(batch)
            keep_own(batch, taken, grant)
            for future in store_all(self._store, taken):
                future.result(_STORED)
        except OtlpError as problem:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(problem))
        except (BusyError, TimeoutError):
            context.abort(grpc.StatusCode.UNAVAILABLE, "too much is waiting to be stored; try again")
        except SQLAlchemyError as problem:
            LOG.error("the database refused: %s", reason_of(problem))
            code = grpc.StatusCode.UNAVAILABLE if is_unavailable(problem) else grpc.StatusCode.INTERNAL
            context.abort(code, "the collector could not store this; its log says why")
        return _answer(batch.rejected, told(batch))

    def _authenticate(self, context: grpc.ServicerContext) -> Grant:
        keys = self._store.keys
        if not keys.is_fresh:
            keys.refresh()
        given = {name: value for name, value in context.invocation_metadata() if isinstance(value, str)}
        grant = keys.find(api_key(given))
        if grant is None:
            told = "the metadata authorization or api-key is not a valid API key"
            context.abort(grpc.StatusCode.UNAUTHENTICATED, told)
        return grant


def _answer(rejected: int, message: str) -> Any:
    answer = ExportTraceServiceResponse()
    if message:
        answer.partial_success.rejected_spans = rejected
        answer.partial_success.error_message = message
    return answer
