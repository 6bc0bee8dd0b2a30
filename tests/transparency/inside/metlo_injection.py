"""Put the agent into every app of a process, at a position that the environment names; loaded by a .pth file.

TRANSPARENCY_MODE is `facade` (nothing to decide) or `active` (a rule on bodies, and DETECTION="block"); without it
nothing is changed. TRANSPARENCY_POSITION says where. No collector is there, and rules are the app's own.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from importlib import import_module
from types import ModuleType
from typing import Any

MODE = os.environ.get("TRANSPARENCY_MODE", "")
POSITION = os.environ.get("TRANSPARENCY_POSITION", "")

NEVER = "what-no-test-has-in-its-body"
RULES = [{"name": "never", "block": True, "body": {"contains": NEVER}}]
OPTIONS: dict[str, Any] = {
    "metlo_host": "http://127.0.0.1:9",  # the port of `discard`, where nobody listens
    "api_key": "key",
    "log_level": "CRITICAL",  # lines of ours, from a thread, would stand in what tests capture
    **({"rules": RULES, "detection": "block"} if MODE == "active" else {}),
}


def install() -> None:
    """Wait for the frameworks to be imported, and change how they make or serve apps."""
    if POSITION == "zerocode":
        from metlo_otel import instrument

        share_agents(("asgi", "flask"))
        instrument(**{"host": OPTIONS["metlo_host"], **{k: v for k, v in OPTIONS.items() if k != "metlo_host"}})
        return
    from wrapt import register_post_import_hook

    for module, patch in PATCHES.get(POSITION, {}).items():
        register_post_import_hook(patch, module)


def share_agents(ways: Sequence[str]) -> None:
    """One agent for all apps with equal settings: a suite makes thousands of apps in one process."""
    from wrapt import register_post_import_hook

    def patch(module: ModuleType) -> None:
        make = module.make_agent
        made: list[Any] = []

        @functools.wraps(make)
        def make_agent(*layers: Any) -> Any:
            if not made:
                made.append(make(*layers))
            return made[0]

        vars(module)["make_agent"] = make_agent

    for way in ways:
        register_post_import_hook(patch, f"metlo_otel.{way}")


def asgi(app: Any) -> Any:
    """`app` in our middleware."""
    share_agents_once("asgi")
    return import_module("metlo_otel.asgi").ASGIMiddleware(app, **OPTIONS)


def wsgi(app: Any) -> Any:
    """`app` in our middleware."""
    share_agents_once("wsgi")
    return import_module("metlo_otel.wsgi").WSGIMiddleware(app, **OPTIONS)


@functools.cache
def share_agents_once(way: str) -> None:
    """As share_agents()."""
    share_agents((way,))


def around_stack(module: ModuleType) -> None:
    """Starlette, FastAPI: outside of all that an app has, its answers to errors too."""
    for owner, build in stacks(module):

        def build_middleware_stack(self: Any, build: Callable[..., Any] = build) -> Any:
            return asgi(build(self))

        owner.build_middleware_stack = functools.wraps(build)(build_middleware_stack)


def among_middlewares(place: Callable[[list[Any], Any], list[Any]], module: ModuleType) -> None:
    """Starlette, FastAPI: where the list of an app's middlewares has ours, while its stack is built."""
    for owner, build in stacks(module):

        def build_middleware_stack(self: Any, build: Callable[..., Any] = build) -> Any:
            from starlette.middleware import Middleware

            theirs = self.user_middleware
            self.user_middleware = place(theirs, Middleware(asgi))
            try:
                return build(self)
            finally:
                self.user_middleware = theirs

        owner.build_middleware_stack = functools.wraps(build)(build_middleware_stack)


def stacks(module: ModuleType) -> list[tuple[Any, Callable[..., Any]]]:
    """The app classes of a module that build a stack of their own."""
    classes = [vars(module).get(name) for name in ("Starlette", "FastAPI")]
    found = [item for item in classes if item is not None and "build_middleware_stack" in vars(item)]
    return [(item, item.build_middleware_stack) for item in found]


def test_client(module: ModuleType) -> None:
    """Starlette's: around whatever it is given, which need be no Starlette app."""
    original = module._TestClientTransport.__init__

    @functools.wraps(original)
    def init(self: Any, app: Any, *args: Any, **kwargs: Any) -> None:
        original(self, asgi(app), *args, **kwargs)

    module._TestClientTransport.__init__ = init


def flask_extension(module: ModuleType) -> None:
    """Flask: as the first thing after the app is made."""
    share_agents_once("flask")
    original = module.Flask.__init__

    @functools.wraps(original)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        import_module("metlo_otel.flask").MetloFlask(self, **OPTIONS)

    module.Flask.__init__ = init


def werkzeug_client(module: ModuleType) -> None:
    """Werkzeug, and Flask by it: around whatever its test client runs."""
    original = module.run_wsgi_app

    @functools.wraps(original)
    def run_wsgi_app(app: Any, *args: Any, **kwargs: Any) -> Any:
        return original(wsgi(app), *args, **kwargs)

    vars(module)["run_wsgi_app"] = run_wsgi_app


def werkzeug_server(module: ModuleType) -> None:
    """Werkzeug: around what its development server serves."""
    original = module.BaseWSGIServer.__init__

    @functools.wraps(original)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self.app = wsgi(self.app)

    module.BaseWSGIServer.__init__ = init


def django_middlewares(place: Callable[[list[Any], Any], list[Any]], module: ModuleType) -> None:
    """Django: in the list of middlewares while a handler loads them; the settings that tests see stay as they are."""
    original = module.BaseHandler.load_middleware

    @functools.wraps(original)
    def load_middleware(self: Any, *args: Any, **kwargs: Any) -> None:
        from metlo_otel.django import MetloDjango

        MetloDjango.defaults = OPTIONS
        given = vars(module)["settings"]
        vars(module)["settings"] = View(given, place(list(given.MIDDLEWARE), "metlo_otel.django.MetloDjango"))
        try:
            original(self, *args, **kwargs)
        finally:
            vars(module)["settings"] = given

    module.BaseHandler.load_middleware = load_middleware


class View:
    """Django's settings with other middlewares."""

    def __init__(self, settings: Any, middleware: list[Any]) -> None:
        self._settings = settings
        self.MIDDLEWARE = middleware

    def __getattr__(self, name: str) -> Any:
        return getattr(self._settings, name)


def first(items: list[Any], ours: Any) -> list[Any]:
    """Outermost."""
    return [ours, *items]


def middle(items: list[Any], ours: Any) -> list[Any]:
    """In the middle."""
    half = len(items) // 2
    return [*items[:half], ours, *items[half:]]


def last(items: list[Any], ours: Any) -> list[Any]:
    """Innermost."""
    return [*items, ours]


def everywhere(place: Callable[[list[Any], Any], list[Any]]) -> dict[str, Callable[[ModuleType], None]]:
    """The patches for a place in a list of middlewares."""
    return {
        "starlette.applications": functools.partial(among_middlewares, place),
        "fastapi.applications": functools.partial(among_middlewares, place),
        "django.core.handlers.base": functools.partial(django_middlewares, place),
    }


PATCHES: dict[str, dict[str, Callable[[ModuleType], None]]] = {
    "around": {
        "starlette.applications": around_stack,
        "fastapi.applications": around_stack,
    },
    "client": {
        "starlette.testclient": test_client,
        "werkzeug.test": werkzeug_client,
        "werkzeug.serving": werkzeug_server,
    },
    "extension": {"flask.app": flask_extension},
    "first": everywhere(first),
    "middle": everywhere(middle),
    "last": everywhere(last),
}

if MODE:
    install()
