"""OpenTelemetry's instrumentors: their users' hooks are followed by ours, which bind spans to exchanges."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from metlo_otel.core.guard import Guard
from metlo_otel.hooks import Hooks, chain
from metlo_otel.zerocode.install import once

# By the instrumentor's name: what the keyword is called that takes the hook, and which hook of ours it is.
_HOOKS = {
    "FlaskInstrumentor": ("request_hook", "flask_request_hook"),
    "DjangoInstrumentor": ("response_hook", "django_response_hook"),
    "FastAPIInstrumentor": ("server_request_hook", "asgi_server_request_hook"),
    "StarletteInstrumentor": ("server_request_hook", "asgi_server_request_hook"),
}


def patch(module: ModuleType, _options: Mapping[str, Any], _guard: Guard) -> None:
    """Have every instrumentor that instruments from now on call our hook after its user's."""
    hooks = Hooks.binding()

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def instrument(self: Any, **kwargs: Any) -> Any:
            keyword, name = _HOOKS.get(type(self).__name__, ("", ""))
            if keyword:
                kwargs[keyword] = chain(kwargs.get(keyword), getattr(hooks, name))
            return original(self, **kwargs)

        return instrument

    once(module.BaseInstrumentor, "instrument", make)
