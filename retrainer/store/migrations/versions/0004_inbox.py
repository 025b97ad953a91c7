"""What replicas without the lead took in."""

from alembic import op

from retrainer.store.tables import inbox

revision = "0004_0002"
down_revision = "0003_0002"


def upgrade() -> None:
    inbox.create(op.get_bind())
