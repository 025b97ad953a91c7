"""What replicas without the lead took in."""

from alembic import op

from retrainer.store.tables import inbox

revision = "0003_0001"
down_revision = "0002_0001"


def upgrade() -> None:
    inbox.create(op.get_bind())
