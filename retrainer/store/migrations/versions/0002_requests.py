"""What people asked for has a table of its own: among `meta` nobody could tell what is old."""

from alembic import op
from sqlalchemy import Column, Float, Text, delete, func, insert, select

from retrainer.store.tables import Name, journal, meta

revision = "0002"
down_revision = "0001"
_TRIGGERS = "trigger/"


def upgrade() -> None:
    store = op.get_bind()
    requests = op.create_table(
        "requests",
        Column("name", Name, primary_key=True),
        Column("rule", Name, nullable=False),
        Column("key", Name, nullable=False),
        Column("at", Float, nullable=False),
        Column("asked", Text, nullable=False),
        Column("answer", Text, nullable=False),
    )
    op.create_index("requests_rule_key", "requests", ["rule", "key", "at"])
    op.create_index("requests_at", "requests", ["at"])
    newest = store.execute(select(func.max(journal.c.at))).scalar() or 0.0
    asked = meta.c.name.startswith(_TRIGGERS)
    rows = [
        {"name": name, "rule": "", "key": "", "at": newest, "asked": "{}", "answer": answer}
        for name, answer in store.execute(select(meta.c.name, meta.c.value).where(asked))
    ]
    if rows:
        store.execute(insert(requests), rows)
        store.execute(delete(meta).where(asked))
