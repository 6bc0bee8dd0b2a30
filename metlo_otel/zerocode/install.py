"""Waits for the frameworks to be imported, and changes how they make apps; imports none itself."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

from wrapt import register_post_import_hook

from metlo_otel.blocking.control import check_rules
from metlo_otel.core.guard import Guard, RateLimitedLog
from metlo_otel.core.logs import NAME
from metlo_otel.core.settings import read_settings

NOTHING = "nothing is captured or blocked"

# The module that has a framework's app class, and ours that knows what to do with it.
_FRAMEWORKS = {
    "flask.app": "flask",
    "starlette.applications": "starlette",
    "fastapi.applications": "starlette",
    "django.core.handlers.base": "django",
    "opentelemetry.instrumentation.instrumentor": "hooking",
}


def install(options: Mapping[str, Any]) -> None:
    """Have every app that is made from now on served with these options; none when DISABLED. Raises SettingsError."""
    settings = read_settings(options)
    if settings.disabled:
        return
    check_rules(settings)
    guard = Guard(RateLimitedLog(logging.getLogger(NAME)))
    for module, ours in _FRAMEWORKS.items():
        register_post_import_hook(_patching(ours, options, guard), module)


def _patching(ours: str, options: Mapping[str, Any], guard: Guard) -> Callable[[ModuleType], None]:
    def patch(module: ModuleType) -> None:
        """What fails here must not make the app's import of its framework fail."""
        try:
            import_module(f"metlo_otel.zerocode.{ours}").patch(module, options, guard)
        except ImportError as problem:  # of our own modules alone, so that its text holds nothing of the app's
            where = f"zero code for {module.__name__} cannot start, {NOTHING} there"
            guard.log.say(logging.ERROR, f"zero code:{ours}", f"{where}: {problem}")
        except Exception as problem:  # noqa: BLE001 - as in Guard.run()
            guard.failed(patch, problem)

    return patch


def once(owner: type, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Replace a method by what `make` makes of it, unless that has been done before."""
    original = getattr(owner, name)
    if not getattr(original, "metlo_otel", False):
        replacement = make(original)
        replacement.metlo_otel = True  # type: ignore[attr-defined]  # a function takes attributes
        setattr(owner, name, replacement)
