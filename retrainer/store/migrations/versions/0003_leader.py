"""Who may write, for stores that several daemons share."""

from alembic import op
from sqlalchemy import BigInteger, Column, Float

from retrainer.store.tables import Name

revision = "0003_0002"
down_revision = "0002"


def upgrade() -> None:
    leader = op.create_table(
        "leader",
        Column("name", Name, primary_key=True),
        Column("epoch", BigInteger, nullable=False),
        Column("holder", Name, nullable=False),
        Column("session", Name, nullable=False),
        Column("lease_until", Float, nullable=False),
        Column("mark", BigInteger, nullable=False),
        Column("url", Name, nullable=False),
    )
    nobody = {"epoch": 0, "holder": "", "session": "", "lease_until": 0.0, "mark": 0, "url": ""}
    op.bulk_insert(leader, [{"name": "daemon", **nobody}])
