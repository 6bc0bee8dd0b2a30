"""How long calls take and how large they are: histograms by minute, and columns of endpoints."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add them; of what was counted before, nothing is known."""
    op.add_column("endpoints", sa.Column("latency", sa.LargeBinary(), nullable=True))
    for name in ("p95", "summed", "request_bytes", "response_bytes"):
        op.add_column("endpoints", sa.Column(name, sa.BigInteger(), server_default="0", nullable=False))
    op.create_table(
        "endpoint_latencies",
        sa.Column("endpoint_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("minute", sa.Integer(), nullable=False),
        sa.Column("latency", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["endpoint_id"], ["endpoints.id"], name=op.f("fk_endpoint_latencies_endpoint_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("endpoint_id", "minute", name=op.f("pk_endpoint_latencies")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_endpoint_latencies_minute"), "endpoint_latencies", ["minute"])
    op.create_table(
        "total_latencies",
        sa.Column("minute", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("latency", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("minute", name=op.f("pk_total_latencies")),
    )
