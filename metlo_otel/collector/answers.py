"""Answers in JSON, and those to what goes wrong: a status and a sentence for whoever reads the agent's log."""

from __future__ import annotations

import logging
from typing import Any

import orjson
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from metlo_otel.collector.database import TO_MEND, is_damaged, is_full, is_unavailable, reason_of
from metlo_otel.collector.intake import RefusedError
from metlo_otel.core.guard import RateLimitedLog

LOG = logging.getLogger("metlo_otel.collector")
_RARELY = RateLimitedLog(LOG)  # agents come again every second


class Json(Response):
    """A JSON answer."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content)


def _error(status: int, reason: str, headers: dict[str, str] | None = None) -> Response:
    return Json({"error": reason}, status, headers)


async def _answer_refused(_request: Request, problem: RefusedError) -> Response:
    headers = {"Retry-After": "1"} if problem.status == 503 else {}
    if problem.status in (401, 408, 413, 415):
        headers["Connection"] = "close"
    return _error(problem.status, problem.reason, headers)


async def _answer_http(request: Request, problem: HTTPException) -> Response:
    reason = f"{problem.detail}: {request.method} {request.url.path[:200]}"
    return _error(problem.status_code, reason, dict(problem.headers or {}))


async def _answer_database(_request: Request, problem: SQLAlchemyError) -> Response:
    if is_full(problem):
        LOG.error("the database is full: %s", reason_of(problem))
        return _error(503, "the database has no room; nothing of this was stored", {"Retry-After": "60"})
    if is_unavailable(problem):
        LOG.error("the database takes nothing now: %s", reason_of(problem))
        return _error(503, "the database takes nothing now; try again", {"Retry-After": "5"})
    if is_damaged(problem):
        told = f"the database is damaged, nothing is stored: {reason_of(problem)}; {TO_MEND}"
        _RARELY.say(logging.ERROR, "damaged", told)
        return _error(503, "the database is damaged; nothing of this was stored", {"Retry-After": "60"})
    LOG.error("the database refused: %s", reason_of(problem))
    return _error(500, "the collector failed; its log says why")


async def _answer_failure(_request: Request, _problem: Exception) -> Response:
    return _error(500, "the collector failed; its log says why")


async def _answer_nobody(_request: Request, _problem: Exception) -> Response:
    return Response(status_code=400)


HANDLERS: dict[Any, Any] = {
    HTTPException: _answer_http,
    RefusedError: _answer_refused,
    SQLAlchemyError: _answer_database,
    ClientDisconnect: _answer_nobody,
    Exception: _answer_failure,
}
