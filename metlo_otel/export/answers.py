"""What the collector and the backend answer, read within bounds.

Imports `requests` and with it `ssl`, as export.client does.
"""

from __future__ import annotations

import contextlib
import re
import time
from datetime import timezone
from email.utils import parsedate_to_datetime

import orjson
import requests
from urllib3.exceptions import HTTPError

from metlo_otel.core.agent_config import AgentConfigError, Served
from metlo_otel.export.outcome import Outcome, Refused, Sent, TryLater

_ANSWER_SECONDS = 10.0  # in which an answer that has begun must end
_LONGEST_WAIT = 300.0
_MAX_CONFIG = 32 * 1024 * 1024
_MAX_ANSWER = 4096
_MAX_AGE = re.compile(r"(?:^|[,\s])max-age=(\d{1,9})(?:$|[,\s])", re.IGNORECASE | re.ASCII)


class StatusError(ConnectionError):
    """The answer's status says that there is no agent-config; the text says which, and what to do."""


def config(answer: requests.Response) -> Served:
    """The agent-config document, or that it is still the one before. Raises StatusError and AgentConfigError."""
    again = _max_age(answer.headers.get("Cache-Control", ""))
    if answer.status_code == 304:
        return Served(changed=False, again=again)
    if answer.status_code != 200:
        finish(answer)
        raise StatusError(f"status {answer.status_code}{_meaning(answer.status_code)}")
    body = _read(answer, _MAX_CONFIG)
    if body is None:
        raise AgentConfigError(f"the answer is larger than {_MAX_CONFIG} bytes")
    try:
        return Served(orjson.loads(body), answer.headers.get("ETag"), again=again)
    except orjson.JSONDecodeError:
        raise AgentConfigError("the answer cannot be read: it is not JSON") from None


def _meaning(status: int) -> str:
    """What a status that is no success says of agent-config, where that is known."""
    if status in (401, 403):
        return ": the API key is not accepted; check API_KEY"
    if status == 404:
        return ": there is none at this address; check METLO_HOST and BACKEND_PORT"
    return ": the backend cannot answer now" if status >= 500 else ""


def _max_age(value: str) -> float | None:
    """Seconds for which an answer says that it is fresh (RFC 9111, 5.2.2.1)."""
    found = _MAX_AGE.search(value)
    return float(found[1]) if found else None


def outcome(answer: requests.Response) -> Outcome:
    """What a status says of a batch."""
    status = answer.status_code
    if 200 <= status < 300:
        return Sent()
    if status == 429 or status >= 500:
        return TryLater(f"status {status}", _retry_after(answer.headers.get("Retry-After", "")), answered=True)
    return Refused(status)


def _retry_after(value: str) -> float | None:
    """Seconds that a Retry-After header (RFC 9110, 10.2.3; a number or a date) asks to wait; five minutes at most."""
    value = value.strip()
    if value.isdecimal() and value.isascii():
        return min(float(value[:9]), _LONGEST_WAIT)
    try:
        moment = parsedate_to_datetime(value)
    except (TypeError, ValueError, IndexError):
        return None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    return min(max(moment.timestamp() - time.time(), 0.0), _LONGEST_WAIT)


def finish(answer: requests.Response) -> None:
    """Read a short answer so that its connection can be used again; that of a long or broken one is closed instead."""
    length = answer.headers.get("Content-Length", "")
    if length.isdecimal() and int(length[:9]) <= _MAX_ANSWER:
        with contextlib.suppress(HTTPError, OSError):  # the status has told everything
            _read(answer, _MAX_ANSWER)


def _read(answer: requests.Response, limit: int) -> bytes | None:
    """The body, as it is on the wire; None where it is longer than `limit`. Given up after _ANSWER_SECONDS in all."""
    found, size = [], 0
    deadline = time.monotonic() + _ANSWER_SECONDS
    read = getattr(answer.raw, "read1", answer.raw.read)  # read1 returns what has come, read waits for all of it
    while chunk := read(65536):
        found.append(chunk)
        size += len(chunk)
        if size > limit:
            return None
        if time.monotonic() > deadline:
            raise TimeoutError
    return b"".join(found)
