"""The HTTP client: one kept-alive session to the collector and the backend, every outcome a value.

Imports `requests` and with it `ssl`, so nobody imports this before the worker runs.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
import zlib
from datetime import timezone
from email.utils import parsedate_to_datetime
from http.client import HTTPException

import orjson
import requests
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError
from urllib3.exceptions import TimeoutError as PoolTimeoutError

from metlo_otel.core.agent_config import AgentConfigError, Served
from metlo_otel.core.settings import Settings
from metlo_otel.core.version import __version__
from metlo_otel.export.outcome import Outcome, Refused, Sent, TryLater
from metlo_otel.export.sockets import Sockets

CONNECT_SECONDS, READ_SECONDS = 3.05, 3.0
_LONGEST_READ_SECONDS = 12.0  # for a collector that answers probes, but no batch within READ_SECONDS
_CONFIG_READ_SECONDS = 4.0
_PROBE_SECONDS = 2.0
_ANSWER_SECONDS = 10.0  # in which an answer that has begun must end
_LONGEST_WAIT = 300.0
_MAX_CONFIG = 32 * 1024 * 1024
_MAX_ANSWER = 4096
_MAX_AGE = re.compile(r"(?:^|[,\s])max-age=(\d{1,9})(?:$|[,\s])", re.IGNORECASE | re.ASCII)
_GZIP_FROM = 1024  # bytes below which compression saves nothing


def _certificates() -> str | bool:
    """The file of certificates that a collector's is checked by: what variables name, on loopback too; else certifi's.

    requests does not know SSL_CERT_FILE, which OpenSSL and most other programs heed, and as these do a file that is not
    there is passed over.
    """
    named = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    file = os.environ.get("SSL_CERT_FILE")
    return named or (file if file and os.path.isfile(file) else True)


class _Key(AuthBase):
    """Puts the key into Authorization as it is; set as auth so that no .netrc replaces it."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._key
        return request


class Client:
    """Talks to one Metlo. Never follows a redirect, because the key would go along. Not for several threads at once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._batch_url = settings.collector_url + "/api/v2/log-request/batch"
        self._sums_url = settings.collector_url + "/api/v1/aggregates"
        self._probe_url = settings.collector_url + "/api/v1/verify"
        self._config_url = settings.backend_url + "/api/v1/agent-config"
        self.renew()

    def renew(self) -> None:
        """Begin with new connections: those of a forked process's parent must not be shared."""
        self._session = requests.Session()
        self._sockets = Sockets()
        self._sockets.of(self._session)
        self._session.auth = _Key(self._settings.api_key)
        self._session.trust_env = not self._settings.loopback  # without proxies and .netrc there
        self._session.verify = _certificates()
        self._session.headers.update({"User-Agent": f"metlo-otel/{__version__}", "Accept": "*/*"})
        self._patience, self._too_late, self._unanswered = READ_SECONDS, False, False
        self._answered = self._posting = False

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        self._session.close()

    def interrupt(self) -> bool:
        """Have a call that waits for an answer fail now; whether it may be. For another thread.

        It may not where it is a batch that a collector, having answered until now, may have taken: that would be sent
        twice.
        """
        if self._posting:
            return False
        self._sockets.shut()
        return True

    def send(self, batch: bytes) -> Outcome:
        """POST a JSON array of traces.

        So that a collector which hung is soon found to be back, an answer is awaited for READ_SECONDS; one that answers
        probes meanwhile is slow, and given longer.
        """
        return self._post(self._batch_url, batch)

    def send_aggregates(self, document: bytes) -> Outcome:
        """POST what was counted since the last time, as JSON."""
        return self._post(self._sums_url, document)

    def _post(self, url: str, batch: bytes) -> Outcome:
        headers = {"Content-Type": "application/json"}
        if len(batch) >= _GZIP_FROM:
            headers["Content-Encoding"] = "gzip"
            batch = _gzip(batch)
        self._posting = self._answered
        try:
            answer = self._session.post(
                url,
                data=batch,
                headers=headers,
                timeout=(CONNECT_SECONDS, self._patience),
                allow_redirects=False,
                stream=True,
            )
            with answer:
                outcome = _outcome(answer)
                _finish(answer)
        except (requests.RequestException, HTTPError, OSError, ValueError) as problem:
            self._too_late, self._unanswered = isinstance(problem, requests.ReadTimeout), True
            self._answered = False
            return TryLater(_name(problem))
        finally:
            self._posting = False
        self._unanswered, self._answered = False, True
        return outcome

    def answers(self) -> bool:
        """Whether the collector answers a small question, with whatever status, within two seconds."""
        try:
            with self._session.get(
                self._probe_url, timeout=(_PROBE_SECONDS, _PROBE_SECONDS), allow_redirects=False, stream=True
            ) as answer:
                _finish(answer)
        except (requests.RequestException, HTTPError, OSError, ValueError):
            return False
        if self._too_late:
            self._patience = min(self._patience * 2, _LONGEST_READ_SECONDS)
        self._too_late, self._unanswered, self._answered = False, False, True
        return True

    def get_config(self, etag: str | None = None) -> Served:
        """The agent-config document, unless it is still the one with `etag`.

        Raises ConnectionError where there is no such answer, AgentConfigError where it is not JSON or too large.
        """
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        if etag:
            headers["If-None-Match"] = etag
        try:
            answer = self._session.get(
                self._config_url,
                headers=headers,
                timeout=(_PROBE_SECONDS,) * 2 if self._unanswered else (CONNECT_SECONDS, _CONFIG_READ_SECONDS),
                allow_redirects=False,
                stream=True,
            )
            self._answered = True
            with answer:
                return _config(answer)
        except _StatusError:
            raise
        except (requests.RequestException, HTTPError, OSError) as problem:
            raise ConnectionError(_name(problem)) from None


class _StatusError(ConnectionError):
    """The answer's status says that there is no agent-config; the text says which, and what to do."""


def _config(answer: requests.Response) -> Served:
    again = _max_age(answer.headers.get("Cache-Control", ""))
    if answer.status_code == 304:
        return Served(changed=False, again=again)
    if answer.status_code != 200:
        _finish(answer)
        raise _StatusError(f"status {answer.status_code}{_meaning(answer.status_code)}")
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


def _outcome(answer: requests.Response) -> Outcome:
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


def _finish(answer: requests.Response) -> None:
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


def _gzip(data: bytes) -> bytes:
    compressor = zlib.compressobj(1, zlib.DEFLATED, 31)
    return compressor.compress(data) + compressor.flush()


def _name(problem: Exception) -> str:
    """What went wrong, in words that hold neither URL nor header."""
    if isinstance(problem, requests.Timeout | PoolTimeoutError | TimeoutError):
        return "no answer in time"
    if isinstance(problem, requests.exceptions.SSLError):
        return "TLS failed"
    if isinstance(problem, requests.exceptions.ProxyError):
        return "the proxy failed"
    if _is_no_http(problem):
        return "the answer cannot be read: it is not whole, or not HTTP"
    if isinstance(problem, requests.ConnectionError | HTTPError | OSError):
        return "no connection"
    return type(problem).__name__


def _is_no_http(problem: BaseException | None) -> bool:
    """Whether an answer came that is no HTTP, which requests tells as a lost connection."""
    while problem is not None:
        if isinstance(problem, HTTPException) and not isinstance(problem, OSError):
            return True
        problem = problem.__context__
    return False
