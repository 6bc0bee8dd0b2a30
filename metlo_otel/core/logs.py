"""Our logger: `metlo_otel`, the app's to configure; its level is set only when LOG_LEVEL is."""

from __future__ import annotations

import logging

NAME = "metlo_otel"
TRACE = 5


def make_logger(level: int | None) -> logging.Logger:
    """The package's logger; `level` (of the standard library, 5 for trace) is set on it when given.

    It has no handler, also no NullHandler: where nobody has set logging up, Python then writes warnings to stderr.
    """
    logger = logging.getLogger(NAME)
    if level is not None:
        logger.setLevel(level)
    return logger
