"""What containment and bounded work need: what dead letters take up, who reads a source, indexes for ranges."""

from alembic import op
from sqlalchemy import Column, Float, Integer, Text, text

from retrainer.store.tables import Name

revision = "0005_0002"
down_revision = "0004_0002"


def upgrade() -> None:
    op.add_column("dead_letters", Column("size", Integer))
    op.create_index("dead_letters_size", "dead_letters", ["id", "size"])
    op.create_index("dead_letters_event", "dead_letters", ["source", "event"])
    op.add_column("objects", Column("told_at", Float))
    op.create_index("slots_at", "slots", ["at"])
    op.create_index("slots_rule", "slots", ["rule", "slot", "key", "trigger"])
    op.create_index("runs_rule", "runs", ["rule", "id"])
    live = text("ended_at IS NULL")
    op.create_index("runs_live", "runs", ["rule", "key"], sqlite_where=live, postgresql_where=live)
    op.add_column("fan_outs", Column("input", Text))
    op.create_table(
        "readers",
        Column("source", Name, primary_key=True),
        Column("reader", Name, primary_key=True),
        Column("renewed_at", Float, nullable=False),
    )
