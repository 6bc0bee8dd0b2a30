"""The HTTP client: one kept-alive session to the collector and the backend, every outcome a value.

Imports `requests` and with it `ssl`, so nobody imports this before the worker runs.
"""

from __future__ import annotations

import os
import zlib
from http.client import HTTPException

import requests
from requests.auth import AuthBase
from urllib3.exceptions import HTTPError
from urllib3.exceptions import TimeoutError as PoolTimeoutError

from metlo_otel.core.agent_config import Served
from metlo_otel.core.settings import Settings
from metlo_otel.core.version import __version__
from metlo_otel.export.answers import StatusError, config, finish, outcome
from metlo_otel.export.outcome import Outcome, TryLater
from metlo_otel.export.sockets import Sockets

CONNECT_SECONDS, READ_SECONDS = 3.05, 3.0
_LONGEST_READ_SECONDS = 12.0  # for a collector that answers probes, but no batch within READ_SECONDS
_CONFIG_READ_SECONDS = 4.0
_PROBE_SECONDS = 2.0
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
                said = outcome(answer)
                finish(answer)
        except (requests.RequestException, HTTPError, OSError, ValueError) as problem:
            self._too_late, self._unanswered = isinstance(problem, requests.ReadTimeout), True
            self._answered = False
            return TryLater(_name(problem))
        finally:
            self._posting = False
        self._unanswered, self._answered = False, True
        return said

    def answers(self) -> bool:
        """Whether the collector answers a small question, with whatever status, within two seconds."""
        try:
            with self._session.get(
                self._probe_url, timeout=(_PROBE_SECONDS, _PROBE_SECONDS), allow_redirects=False, stream=True
            ) as answer:
                finish(answer)
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
                return config(answer)
        except StatusError:
            raise
        except (requests.RequestException, HTTPError, OSError) as problem:
            raise ConnectionError(_name(problem)) from None


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
