"""Before every page: the headers that keep strangers' text harmless, and the check where a change comes from."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with no-referrer, browsers would send forms without their origin
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_SAFE = ("GET", "HEAD", "OPTIONS")


class Guard:
    """An ASGI app in front of the pages."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        if scope["method"] in _SAFE or is_own(Headers(scope=scope), scope["scheme"]):
            await self._app(scope, receive, send_guarded)
        else:
            await PlainTextResponse("This change was not asked for by one of our pages.\n", 403)(
                scope, receive, send_guarded
            )


def is_own(headers: Headers, scheme: str) -> bool:
    """Whether a request was made by a page of ours, by what browsers say and pages cannot forge.

    Sec-Fetch-Site decides where it is sent, which is under https and on the loopback; elsewhere Origin must name the
    host that was asked. A request with neither is from no browser that we would serve.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = urlsplit(headers.get("origin", ""))
    if origin.scheme not in ("http", "https") or (scheme == "https" and origin.scheme != "https"):
        return False
    return bool(origin.netloc) and origin.netloc.lower() == headers.get("host", "").lower()


def is_secure(headers: Headers, scheme: str) -> bool:
    """Whether the browser speaks https, to us or to a proxy before us (which its Origin shows)."""
    return scheme == "https" or headers.get("origin", "").startswith("https://")
