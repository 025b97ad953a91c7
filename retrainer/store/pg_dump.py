"""The command that backs up a PostgreSQL store: PostgreSQL's own tool, which this package does not contain."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from psycopg.conninfo import make_conninfo
from sqlalchemy import make_url

if TYPE_CHECKING:
    from pathlib import Path

_SECRET = ("password", "sslpassword")


def pg_dump(url: str, target: Path) -> str:
    """Return a line for a shell that writes the database to ``target``. It contains no password.

    The database is named by a connection string: libpq writes a URL with several hosts differently from SQLAlchemy.
    """
    parsed = make_url(url).set(drivername="postgresql+psycopg")
    _, parameters = parsed.get_dialect()().create_connect_args(parsed)
    connection = make_conninfo("", **{name: value for name, value in parameters.items() if name not in _SECRET})
    return shlex.join(["pg_dump", "--format=custom", f"--file={target}", f"--dbname={connection}"])
