"""Keys that are bound to services."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; keys that there are stay good for all services."""
    op.add_column("api_keys", sa.Column("services", sa.Text()))
