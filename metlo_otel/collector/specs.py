"""Uploaded OpenAPI descriptions: kept by name, each for a host, and what they describe."""

from __future__ import annotations

import time
from functools import lru_cache

from sqlalchemy import Connection, delete, insert, select

from metlo_otel.analysis.openapi_spec import OPERATIONS, SpecError, read_spec
from metlo_otel.collector.schema import SPECS

_LONGEST_NAME, _LONGEST_HOST = 128, 255


def put_spec(connection: Connection, name: str, host: str, text: str) -> None:
    """Keep a description under a name; one that had this name is replaced. Raises ValueError for what is none."""
    if not name.strip() or len(name) > _LONGEST_NAME or "\0" in name + host + text:
        raise ValueError(f"the name of a description has 1 to {_LONGEST_NAME} characters, none of them NUL")
    if not host or len(host) > _LONGEST_HOST:
        raise ValueError(f"the host of a description has 1 to {_LONGEST_HOST} characters")
    described_endpoints(text)
    connection.execute(delete(SPECS).where(SPECS.c.name == name))
    row = {"name": name, "host": host.lower(), "text": text, "changed": int(time.time() * 1000)}
    connection.execute(insert(SPECS), row)


def remove_spec(connection: Connection, name: str) -> bool:
    """Forget a description; whether there was one of this name."""
    return connection.execute(delete(SPECS).where(SPECS.c.name == name)).rowcount > 0


def read_specs(connection: Connection) -> dict[str, str]:
    """The text of a description for each host; where a host has several, the first by name."""
    rows = connection.execute(select(SPECS.c.host, SPECS.c.text).order_by(SPECS.c.name.desc()))
    return {row.host: row.text for row in rows}


@lru_cache(maxsize=64)
def described_endpoints(text: str) -> tuple[tuple[str, str], ...]:
    """Method and path of every operation that a description has, its servers' paths in front.

    Raises ValueError for what is no OpenAPI description.
    """
    try:
        description = read_spec(text)
    except SpecError as problem:
        raise ValueError(f"the description cannot be read: {problem}") from None
    prefixes = [prefix for prefix in description.prefixes if prefix] or [""]
    return tuple(
        (method.upper(), prefix + path)
        for path, item in description.paths.items()
        for method in OPERATIONS
        if method in description.resolve(item)
        for prefix in prefixes
    )
