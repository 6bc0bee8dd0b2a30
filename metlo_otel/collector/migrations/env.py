"""Runs migrations on the connection that migrate() hands over."""

from alembic import context

from metlo_otel.collector import schema_people, schema_telling  # noqa: F401 - their tables are of METADATA
from metlo_otel.collector.schema import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
