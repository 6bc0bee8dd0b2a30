"""The shop in Starlette for servers that take an app, not who makes it."""

from __future__ import annotations

from tests.live.apps import starlette_shop

app = starlette_shop()
