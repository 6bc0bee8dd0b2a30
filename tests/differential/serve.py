"""Servers that have no command of their own: `python -m tests.differential.serve MODULE:APP PORT SERVER`."""

from __future__ import annotations

import importlib
import logging
import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server

from werkzeug.serving import run_simple


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's name
        """Nothing is written."""


def main() -> None:
    """Serve until a signal comes."""
    where, port, server = sys.argv[1:]
    module, _, name = where.partition(":")
    app = getattr(importlib.import_module(module), name)
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    if server == "werkzeug":
        run_simple("127.0.0.1", int(port), app, threaded=True)
    else:
        make_server("127.0.0.1", int(port), app, handler_class=_Quiet).serve_forever()


if __name__ == "__main__":
    main()
