"""Columns have the names that everything else uses for the same things."""

from alembic import op

revision = "0006_0006"
down_revision = "0005_0002"

RENAMED = (
    ("runs", "born_at", "created_at"),
    ("positions", "part", "partition"),
    ("positions", "incarnation", "topic_id"),
    ("objects", "told_at", "notified_at"),
)


def upgrade() -> None:
    for table, old, new in RENAMED:
        op.execute(f"ALTER TABLE {table} RENAME COLUMN {old} TO {new}")
    for old, new in (("Followed", "UpstreamEnded"), ("Judged", "PromotionReported"), ("Again", "Replayed")):
        op.execute(f"UPDATE journal SET kind = '{new}' WHERE kind = '{old}'")  # noqa: S608 - constants
        op.execute(f'UPDATE fan_outs SET input = replace(input, \'"kind":"{old}"\', \'"kind":"{new}"\')')  # noqa: S608 - constants
    op.execute("UPDATE journal SET payload = replace(payload, '\"again\":', '\"rerun\":')")
