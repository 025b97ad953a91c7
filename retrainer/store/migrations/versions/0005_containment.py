"""What containment and bounded work need: what dead letters take up, and indexes for what is asked by ranges."""

from alembic import op
from sqlalchemy import Column, Integer, text

revision = "0005_0002"
down_revision = "0004_0002"


def upgrade() -> None:
    op.add_column("dead_letters", Column("size", Integer))
    op.create_index("dead_letters_size", "dead_letters", ["id", "size"])
    op.create_index("slots_at", "slots", ["at"])
    live = text("ended_at IS NULL")
    op.create_index("runs_live", "runs", ["rule", "key"], sqlite_where=live, postgresql_where=live)
