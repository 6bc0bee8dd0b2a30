"""A middleware in front of a Flask app that does not keep the app alive: Flask's promise is that nothing does.

`app.wsgi_app = Middleware(app.wsgi_app)` is a cycle of references, in which an app stays until Python looks for cycles.
Who takes `app.wsgi_app` alone, to serve that, must hold the app by it. So it stays the app's own method, which asks the
app for what is in front.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any
from weakref import ref

from metlo_otel.capture.wsgi import Environ, StartResponse, WSGIApp

_FRONT = "_metlo_otel_front"


def put_in_front(app: Any, make: Callable[[WSGIApp], WSGIApp]) -> None:
    """Have `make(app.wsgi_app)` serve what `app` is asked; where that is not Flask's own method, as others do it."""
    method = next((vars(kind)["wsgi_app"] for kind in type(app).__mro__ if "wsgi_app" in vars(kind)), None)
    if "wsgi_app" in vars(app) or getattr(method, "__module__", "") != "flask.app":
        app.wsgi_app = make(app.wsgi_app)
        return
    if not hasattr(method, _FRONT):
        _asking(next(kind for kind in type(app).__mro__ if "wsgi_app" in vars(kind)))
    front = vars(app).get(_FRONT)
    setattr(app, _FRONT, make(_plain(app) if front is None else front))


def _asking(kind: Any) -> None:
    """Have the method of this class, Flask itself, ask each app for what is in front of it."""
    plain = kind.wsgi_app

    @wraps(plain)
    def wsgi_app(self: Any, environ: Environ, start_response: StartResponse) -> Any:
        front = vars(self).get(_FRONT)
        return plain(self, environ, start_response) if front is None else front(environ, start_response)

    setattr(wsgi_app, _FRONT, plain)
    kind.wsgi_app = wsgi_app


def _plain(app: Any) -> WSGIApp:
    """The app as it is without a front; called while the app serves, so it is there."""
    served = ref(app)
    serve = getattr(type(app).wsgi_app, _FRONT)

    def wsgi_app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        found: Iterable[bytes] = serve(served(), environ, start_response)
        return found

    return wsgi_app
