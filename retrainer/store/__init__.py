"""The store: tables, statements, queries and migrations, for SQLite and PostgreSQL."""
