"""Searches that somebody saved, for all who use the dashboard."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select

from metlo_otel.collector.audit import note
from metlo_otel.collector.endpoints import storable
from metlo_otel.collector.schema import VIEWS

MOST = 50  # of one page
_LONGEST = 64


def list_views(connection: Connection, page: str) -> list[dict[str, Any]]:
    """The saved searches of a page, by name."""
    rows = select(VIEWS.c.id, VIEWS.c.name, VIEWS.c.query, VIEWS.c.who).where(VIEWS.c.page == page)
    return [row._asdict() for row in connection.execute(rows.order_by(VIEWS.c.name))]


def save_view(connection: Connection, page: str, name: str, query: str, who: str) -> None:
    """Keep a search under a name; one of this name is replaced. Raises ValueError."""
    name = storable(name.strip(), _LONGEST)
    if not name:
        raise ValueError("a saved search needs a name")
    connection.execute(delete(VIEWS).where(VIEWS.c.page == page, VIEWS.c.name == name))
    if connection.execute(select(func.count()).where(VIEWS.c.page == page)).scalar_one() >= MOST:
        raise ValueError(f"a page has at most {MOST} saved searches; remove one first")
    row = {"page": page, "name": name, "query": query, "who": storable(who, 255), "made": int(time.time() * 1000)}
    connection.execute(insert(VIEWS), row)
    note(connection, who, "views.save", {"page": page, "name": name, "query": query})


def remove_view(connection: Connection, view: int, who: str) -> str | None:
    """Forget a saved search; the page that it was of, None where there was none."""
    page = connection.execute(select(VIEWS.c.page).where(VIEWS.c.id == view)).scalar()
    if page is not None:
        connection.execute(delete(VIEWS).where(VIEWS.c.id == view))
        note(connection, who, "views.remove", {"id": view})
    return page
