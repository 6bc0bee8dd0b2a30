"""Our logger: `metlo_otel`, silent unless the app listens, its level set only when LOG_LEVEL is."""

from __future__ import annotations

import logging

NAME = "metlo_otel"
TRACE = 5


def make_logger(level: int | None) -> logging.Logger:
    """The package's logger; `level` (of the standard library, 5 for trace) is set on it when given."""
    logger = logging.getLogger(NAME)
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    if level is not None:
        logger.setLevel(level)
    return logger
