"""The tables of the store; times are milliseconds since the epoch, UTC."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

# SQLite numbers rows by itself only in columns of exactly the type INTEGER.
_Id = BigInteger().with_variant(Integer, "sqlite")

METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Keys of agents: only the SHA-256 of each is kept, and its first characters to recognise it by.
KEYS = Table(
    "api_keys",
    METADATA,
    Column("id", _Id, primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("digest", LargeBinary(32), nullable=False),
    Column("hint", String(16), nullable=False),
    Column("made", BigInteger, nullable=False),
)

# Parts of agent-config that somebody set, each as JSON text; what is not here has its default.
SETTINGS = Table(
    "settings",
    METADATA,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
    Column("changed", BigInteger, nullable=False),
)

ENDPOINTS = Table(
    "endpoints",
    METADATA,
    Column("id", _Id, primary_key=True),
    Column("host", String(255), nullable=False),
    Column("method", String(8), nullable=False),
    Column("path", String(1024), nullable=False),
    Column("calls", BigInteger, nullable=False),
    Column("first_seen", BigInteger, nullable=False),
    Column("last_seen", BigInteger, nullable=False),
    Column("full_capture", Boolean, nullable=False),
    UniqueConstraint("host", "method", "path"),
)

# How often an endpoint answered with a status, since ever.
STATUSES = Table(
    "endpoint_statuses",
    METADATA,
    Column("endpoint_id", _Id, ForeignKey("endpoints.id", ondelete="CASCADE"), primary_key=True),
    Column("status", Integer, primary_key=True),
    Column("calls", BigInteger, nullable=False),
)

# What happened at an endpoint in one minute (`minute` counts minutes since the epoch).
MINUTES = Table(
    "endpoint_minutes",
    METADATA,
    Column("endpoint_id", _Id, ForeignKey("endpoints.id", ondelete="CASCADE"), primary_key=True),
    Column("minute", Integer, primary_key=True),
    Column("calls", Integer, nullable=False),
    Column("client_errors", Integer, nullable=False),
    Column("server_errors", Integer, nullable=False),
    Column("attacks", Integer, nullable=False),
    Column("blocked", Integer, nullable=False),
)

# The latest traces of each endpoint; `document` is the trace as JSON in UTF-8, the other columns are to search by.
TRACES = Table(
    "traces",
    METADATA,
    Column("id", _Id, primary_key=True),
    Column("endpoint_id", _Id, ForeignKey("endpoints.id", ondelete="CASCADE"), nullable=False),
    Column("received", BigInteger, nullable=False),
    Column("version", Integer, nullable=False),
    Column("host", String(255), nullable=False),
    Column("method", String(8), nullable=False),
    Column("path", String(1024), nullable=False),
    Column("status", Integer, nullable=False),
    Column("source", String(255)),
    Column("user", String(255)),
    Column("session", String(255)),
    Column("blocked", Boolean, nullable=False),
    Column("attacks", String(255)),
    Column("redacted", Boolean, nullable=False),
    Column("document", LargeBinary, nullable=False),
    Index(None, "endpoint_id", "id"),
)
