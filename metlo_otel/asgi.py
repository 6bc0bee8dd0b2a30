"""The way in for any ASGI app, Starlette and FastAPI among them."""

from __future__ import annotations

from typing import Any, overload

from metlo_otel.agent import make_agent
from metlo_otel.capture.asgi import ASGIApp, ASGICapture, Receive, Scope, Send


class ASGIMiddleware:
    """`app.add_middleware(ASGIMiddleware, host=…, api_key=…, **options)`, or `ASGIMiddleware(app, host, api_key, …)`.

    Options are the settings in upper or lower case; GET_USER is given the scope and may be async. Raises SettingsError.
    `agent` is None when DISABLED, and requests then go straight to the app.
    """

    @overload
    def __init__(self, app: ASGIApp, /, host: str | None = None, api_key: str | None = None, **options: Any) -> None: ...

    @overload
    def __init__(self, *, app: ASGIApp, host: str | None = None, api_key: str | None = None, **options: Any) -> None: ...

    def __init__(  # type: ignore[misc]  # Starlette types `app` as positional, its older versions pass it by name
        self, app: ASGIApp, host: str | None = None, api_key: str | None = None, **options: Any
    ) -> None:
        self.agent = make_agent({"metlo_host": host, "api_key": api_key, **options})
        self._serve = app if self.agent is None else ASGICapture(app, self.agent, self.agent.ask_user)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._serve(scope, receive, send)
