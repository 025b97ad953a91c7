"""What replicas without the lead took in."""

from alembic import op
from sqlalchemy import Column, Integer, Text

from retrainer.store.tables import BigId, Name

revision = "0004_0002"
down_revision = "0003_0002"


def upgrade() -> None:
    op.create_table(
        "inbox",
        Column("id", BigId, primary_key=True),
        Column("source", Name, nullable=False),
        Column("size", Integer, nullable=False),
        Column("batch", Text, nullable=False),
    )
