"""A real PostgreSQL with a database for each test."""

from __future__ import annotations

import itertools
import os
import subprocess
from pathlib import Path
from typing import Any

import psycopg

SCRIPT = Path(__file__).parents[1] / "servers" / "postgres.sh"
USER, PASSWORD = "retrainer", "not-so-secret"


class Postgres:
    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self.port, self.host = port, host
        self._numbers = itertools.count()

    def call(self, command: str, **environment: str) -> None:
        """Run a command of postgres.sh."""
        done = subprocess.run(
            [SCRIPT, command],
            env={**os.environ, "POSTGRES_PORT": str(self.port), "POSTGRES_HOST": self.host, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, f"postgres.sh {command}: {done.stdout}{done.stderr}"

    def connect(self, database: str = "retrainer") -> psycopg.Connection[Any]:
        """Connect as an operator would, independent of any daemon."""
        return psycopg.connect(
            host=self.host, port=self.port, user=USER, password=PASSWORD, dbname=database, autocommit=True
        )

    def database(self, template: str = "template1") -> str:
        """Create an empty database, or a copy of ``template``."""
        name = f"t{next(self._numbers)}"
        with self.connect() as admin:
            admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def url(self, database: str, port: int | None = None) -> str:
        return f"postgresql+psycopg://{USER}@{self.host}:{port or self.port}/{database}"

    def query(self, database: str, sql: Any) -> list[Any]:
        with self.connect(database) as conn:
            return conn.execute(sql).fetchall()
