"""Who did what: acts of callers, refusals, and edits of rule files."""

from alembic import op
from sqlalchemy import Boolean, Column, Float, Integer

from retrainer.store.tables import Name

revision = "0007_0006"
down_revision = "0006_0006"


def upgrade() -> None:
    op.create_table(
        "activity",
        Column("id", Name, primary_key=True),
        Column("at", Float, nullable=False),
        Column("last_at", Float, nullable=False),
        Column("count", Integer, nullable=False),
        Column("act", Name, nullable=False),
        Column("by", Name, nullable=False),
        Column("on_behalf_of", Name, nullable=False),
        Column("address", Name, nullable=False),
        Column("namespace", Name, nullable=False),
        Column("rule", Name, nullable=False),
        Column("key", Name, nullable=False),
        Column("run", Name, nullable=False),
        Column("target", Name, nullable=False),
        Column("result", Name, nullable=False),
        Column("detail", Name, nullable=False),
        Column("dry_run", Boolean, nullable=False),
    )
    op.create_index("activity_at", "activity", ["at"])
    op.create_index("activity_rule", "activity", ["rule", "id"])
    op.create_index("activity_by", "activity", ["by", "id"])
