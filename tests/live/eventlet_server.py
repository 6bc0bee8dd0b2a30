"""`python -m tests.live.eventlet_server [fork]`: the shop in Flask on eventlet's server, all of Python patched.

With `fork` the app is made before the process that serves it is forked, as gunicorn's --preload does it.
"""

from __future__ import annotations

import os
import signal
import sys

import eventlet  # type: ignore[import-untyped]  # it has no types

eventlet.monkey_patch()

from eventlet import wsgi  # noqa: E402 - after the patching, as eventlet wants it

from tests.live.apps import exiting_shop  # noqa: E402 - as above


def main() -> None:
    """Serve until SIGTERM."""
    listener = eventlet.listen(("127.0.0.1", 0))
    app = exiting_shop()
    if "fork" in sys.argv and (child := os.fork()):
        signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
        os.waitpid(child, 0)
        return
    sys.stdout.write(f"Serving on http://127.0.0.1:{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    wsgi.server(listener, app, log_output=False)


if __name__ == "__main__":
    main()
