"""What people asked for has a table of its own: among `meta` nobody could tell what is old."""

from alembic import op
from sqlalchemy import delete, func, insert, select

from retrainer.store.tables import journal, meta, requests

revision = "0002"
down_revision = "0001"
_TRIGGERS = "trigger/"


def upgrade() -> None:
    store = op.get_bind()
    requests.create(store, checkfirst=True)  # a new store has it already
    newest = store.execute(select(func.max(journal.c.at))).scalar() or 0.0
    asked = meta.c.name.startswith(_TRIGGERS)
    rows = [
        {"name": name, "rule": "", "key": "", "at": newest, "asked": "{}", "answer": answer}
        for name, answer in store.execute(select(meta.c.name, meta.c.value).where(asked))
    ]
    if rows:
        store.execute(insert(requests), rows)
        store.execute(delete(meta).where(asked))
