"""Accounts, sessions, keys with owners and bounds, destinations of alerts, and what people said of hosts."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make them; webhooks become destinations that are told of every alert, as they were, but for those given up."""
    _users()
    _sessions()
    for column in (("user_id", sa.BigInteger()), ("scopes", sa.Text()), ("hosts", sa.Text())):
        op.add_column("api_keys", sa.Column(*column, nullable=True))
    _destinations()
    _deliveries()
    _sendings()
    op.create_table(
        "hosts",
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("own", sa.Boolean(), nullable=False),
        sa.Column("changed", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("host", name=op.f("pk_hosts")),
    )
    _take_over_webhooks(op.get_bind())


def _id() -> sa.Column[Any]:
    return sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False)


def _reference(name: str, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=nullable)


def _foreign(table: str, column: str, to: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{to}.id"], name=op.f(f"fk_{table}_{column}"), ondelete="CASCADE")


def _users() -> None:
    op.create_table(
        "users",
        _id(),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=8), nullable=False),
        sa.Column("password", sa.Text(), nullable=True),
        sa.Column("issuer", sa.String(length=255), nullable=True),
        sa.Column("subject", sa.String(length=255), nullable=True),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("made", sa.BigInteger(), nullable=False),
        sa.Column("last_login", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("issuer", "subject", name=op.f("uq_users_issuer_subject")),
        sa.UniqueConstraint("name", name=op.f("uq_users_name")),
    )


def _sessions() -> None:
    op.create_table(
        "sessions",
        _id(),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        _reference("user_id", nullable=True),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("way", sa.String(length=8), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("browser", sa.String(length=255), nullable=False),
        sa.Column("made", sa.BigInteger(), nullable=False),
        sa.Column("seen", sa.BigInteger(), nullable=False),
        sa.Column("ends", sa.BigInteger(), nullable=False),
        _foreign("sessions", "user_id", "users"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
        sa.UniqueConstraint("digest", name=op.f("uq_sessions_digest")),
    )
    op.create_index(op.f("ix_sessions_ends"), "sessions", ["ends"])
    op.create_index(op.f("ix_sessions_user_id"), "sessions", ["user_id"])


def _destinations() -> None:
    op.create_table(
        "destinations",
        _id(),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secret", sa.Text(), nullable=True),
        sa.Column("rules", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("next_try", sa.BigInteger(), nullable=False),
        sa.Column("made", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_destinations")),
        sa.UniqueConstraint("name", name=op.f("uq_destinations_name")),
    )


def _deliveries() -> None:
    op.create_table(
        "deliveries",
        _id(),
        _reference("destination_id"),
        _reference("alert_id"),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("made", sa.BigInteger(), nullable=False),
        sa.Column("changed", sa.BigInteger(), nullable=False),
        _foreign("deliveries", "alert_id", "alerts"),
        _foreign("deliveries", "destination_id", "destinations"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sa.UniqueConstraint("destination_id", "alert_id", name=op.f("uq_deliveries_destination_id_alert_id")),
    )
    op.create_index(op.f("ix_deliveries_alert_id"), "deliveries", ["alert_id"])
    op.create_index(op.f("ix_deliveries_state_destination_id_id"), "deliveries", ["state", "destination_id", "id"])


def _sendings() -> None:
    op.create_table(
        "sendings",
        _id(),
        sa.Column("at", sa.BigInteger(), nullable=False),
        _reference("destination_id"),
        sa.Column("alerts", sa.Integer(), nullable=False),
        sa.Column("problem", sa.String(length=255), nullable=True),
        sa.Column("took", sa.Integer(), nullable=False),
        _foreign("sendings", "destination_id", "destinations"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sendings")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_sendings_destination_id_id"), "sendings", ["destination_id", "id"])


def _take_over_webhooks(connection: sa.Connection) -> None:
    kept = connection.execute(sa.text("SELECT value FROM settings WHERE name = 'webhooks'")).scalar()
    names = ("name", "kind", "url", "secret", "rules", "failures", "next_try", "made")
    table = sa.table("destinations", sa.column("enabled", sa.Boolean), *map(sa.column, names))
    for number, webhook in enumerate(json.loads(kept) if kept else [], 1):
        host = urlsplit(webhook["url"]).hostname or "webhook"
        row = {"name": f"{host[:50]} {number}", "kind": "webhook", "url": webhook["url"], "secret": webhook["secret"]}
        row |= {"rules": "{}", "enabled": True, "failures": 0, "next_try": 0, "made": int(time.time() * 1000)}
        connection.execute(sa.insert(table), row)
    connection.execute(sa.text("DELETE FROM settings WHERE name = 'webhooks'"))
    connection.execute(sa.text("UPDATE alerts SET notified = last_seen WHERE notified IS NULL AND attempts >= 5"))
