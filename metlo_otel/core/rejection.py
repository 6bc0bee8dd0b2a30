"""The answer to a request that is rejected, as a value that every way in sends alike."""

from __future__ import annotations

from dataclasses import dataclass

from metlo_otel.core.exchange import Verdict

_FORBIDDEN, _TOO_MANY = 403, 429
_TEXTS = {_FORBIDDEN: "forbidden", _TOO_MANY: "too many requests"}
_JSON, _HTML, _PLAIN = "application/json", "text/html; charset=utf-8", "text/plain; charset=utf-8"
_REASONS = {_FORBIDDEN: "Forbidden", _TOO_MANY: "Too Many Requests"}


@dataclass(frozen=True, slots=True)
class Rejection:
    """Status, headers and body, ready to be sent."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def line(self) -> str:
        """Status and reason, as in `403 Forbidden`."""
        return f"{self.status} {_REASONS[self.status]}"


def rejection(verdict: Verdict, accept: str, bodiless: bool = False) -> Rejection:
    """403, or 429 with Retry-After for a rate limit; JSON, HTML or plain text by the request's Accept header.

    `bodiless` is the answer to HEAD: all of it but the body.
    """
    status = _TOO_MANY if verdict.rate_limited else _FORBIDDEN
    kind = _kind(accept)
    text = _TEXTS[status]
    body = {_JSON: f'{{"error": "{text}"}}', _HTML: _page(text), _PLAIN: text.capitalize()}[kind].encode()
    headers = [("Content-Type", kind), ("Content-Length", str(len(body))), ("Cache-Control", "no-store")]
    if verdict.rate_limited:
        headers.append(("Retry-After", str(max(1, verdict.retry_after))))
    return Rejection(status, tuple(headers), b"" if bodiless else body)


def _kind(accept: str) -> str:
    """The first of our three kinds that the client names; JSON where it names none, as API clients do."""
    for part in accept.lower().split(","):
        media = part.partition(";")[0].strip()
        if media == "application/json" or media.endswith("+json"):
            return _JSON
        if media in ("text/html", "application/xhtml+xml"):
            return _HTML
        if media in ("text/plain", "text/*"):
            return _PLAIN
    return _JSON


def _page(text: str) -> str:
    title = text.capitalize()
    return f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><h1>{title}</h1></html>"
