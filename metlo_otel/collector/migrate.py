"""Bringing a database's tables up to date, at every start."""

from __future__ import annotations

from sqlalchemy import Connection, Engine, inspect, text

HEAD = "0006"
"""The newest revision of the tables; asked for first, for loading Alembic takes longer than a start should."""

_LOCK = 7_304_265_118  # PostgreSQL's advisory lock of whoever brings the tables up to date


def migrate(engine: Engine) -> None:
    """Make the tables, or change them to what this version needs; several processes may start at once.

    Raises ValueError for a database of something else or of a newer version.
    """
    with engine.connect() as connection:
        if revision_of(connection) == HEAD:
            return
    with engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        revision = revision_of(connection)
        if revision is None and inspect(connection).has_table("traces"):
            raise ValueError("its tables were not made by a released version of the collector; name another file")
        if revision != HEAD:
            upgrade(connection, revision)


def revision_of(connection: Connection) -> str | None:
    """The revision of the tables, None where there are none of ours."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def upgrade(connection: Connection, revision: str | None, to: str = "head") -> None:
    """Change tables of one revision to those of another. Raises ValueError for a revision that is not known."""
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", "metlo_otel.collector:migrations")
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if revision is not None and revision not in known:
        raise ValueError(f"its tables are of revision {revision}, which a newer version of the collector made")
    command.upgrade(config, to)
