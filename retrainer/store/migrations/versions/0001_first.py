"""The first schema. A new store is made whole, so that no store comes from before it."""

revision = "0001"
down_revision = None
