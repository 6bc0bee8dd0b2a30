"""The tables of who is told of alerts: destinations, what each was told, the delivery log. Times as in schema.py."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from metlo_otel.collector.schema import METADATA, Id

# Where alerts go: `kind` is webhook or apprise, `url` says where and may hold a secret, `secret` signs what a webhook
# gets. `rules` is a JSON object that says which alerts. After `failures` in a row nothing is sent before `next_try`.
DESTINATIONS = Table(
    "destinations",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("kind", String(8), nullable=False),
    Column("url", Text, nullable=False),
    Column("secret", Text),
    Column("rules", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("next_try", BigInteger, nullable=False),
    Column("made", BigInteger, nullable=False),
)

# What a destination is still to be told, or was: `state` is waiting, told or given_up.
DELIVERIES = Table(
    "deliveries",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("destination_id", Id, ForeignKey("destinations.id", ondelete="CASCADE"), nullable=False),
    Column("alert_id", Id, ForeignKey("alerts.id", ondelete="CASCADE"), nullable=False),
    Column("state", String(8), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("made", BigInteger, nullable=False),
    Column("changed", BigInteger, nullable=False),
    UniqueConstraint("destination_id", "alert_id"),
    Index(None, "state", "destination_id", "id"),
    Index(None, "alert_id"),
)

# The delivery log: one row for each time that something was sent, with the number of `alerts` (0: a test).
SENDINGS = Table(
    "sendings",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("destination_id", Id, ForeignKey("destinations.id", ondelete="CASCADE"), nullable=False),
    Column("alerts", Integer, nullable=False),
    Column("problem", String(255)),
    Column("took", Integer, nullable=False),
    Index(None, "destination_id", "id"),
    sqlite_autoincrement=True,
)
