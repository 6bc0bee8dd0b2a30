"""The tables of people: their accounts, their sessions, and what they said of hosts. Times as in schema.py."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from metlo_otel.collector.schema import METADATA, Id

# Accounts. `role` is viewer, analyst or admin; `password` is a hash (null: none may log in with one), `issuer` and
# `subject` name who logs in at an OpenID Connect provider (null until the first time).
USERS = Table(
    "users",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("role", String(8), nullable=False),
    Column("password", Text),
    Column("issuer", String(255)),
    Column("subject", String(255)),
    Column("enabled", Boolean, nullable=False),
    Column("made", BigInteger, nullable=False),
    Column("last_login", BigInteger),
    UniqueConstraint("issuer", "subject"),
)

# Who is logged in at the dashboard: `digest` is the SHA-256 of the cookie, `user_id` is null for the password that all
# share, `way` is password or oidc.
SESSIONS = Table(
    "sessions",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("digest", LargeBinary(32), nullable=False, unique=True),
    Column("user_id", Id, ForeignKey("users.id", ondelete="CASCADE")),
    Column("name", String(64), nullable=False),
    Column("way", String(8), nullable=False),
    Column("address", String(64), nullable=False),
    Column("browser", String(255), nullable=False),
    Column("made", BigInteger, nullable=False),
    Column("seen", BigInteger, nullable=False),
    Column("ends", BigInteger, nullable=False),
    Index(None, "user_id"),
    Index(None, "ends"),
)

# What people said of hosts: `own` is false where one is not theirs. Nothing is said yet of hosts that are not here.
HOSTS = Table(
    "hosts",
    METADATA,
    Column("host", String(255), primary_key=True),
    Column("own", Boolean, nullable=False),
    Column("changed", BigInteger, nullable=False),
)
