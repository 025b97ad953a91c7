"""Alembic environment: run migrations on the connection passed in the configuration."""

from alembic import context

from retrainer.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=False)
context.run_migrations()
