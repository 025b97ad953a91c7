"""Runs migrations on the connection it is handed."""

from alembic import context

from retrainer.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=False)
context.run_migrations()
