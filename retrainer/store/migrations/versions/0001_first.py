"""The first schema."""

from alembic import op

from retrainer.store.tables import metadata

revision = "0001"
down_revision = None

LATER = {"leader", "inbox"}


def upgrade() -> None:
    first = [table for table in metadata.sorted_tables if table.name not in LATER]
    metadata.create_all(op.get_bind(), tables=first, checkfirst=False)
