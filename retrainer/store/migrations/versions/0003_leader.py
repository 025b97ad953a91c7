"""Who may write, for stores that several daemons share."""

from alembic import op

from retrainer.store.tables import leader

revision = "0003_0002"
down_revision = "0002"


def upgrade() -> None:
    leader.create(op.get_bind())
    nobody = {"epoch": 0, "holder": "", "session": "", "lease_until": 0.0, "mark": 0, "url": ""}
    op.bulk_insert(leader, [{"name": "daemon", **nobody}])
