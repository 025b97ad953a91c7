"""One server for all tests; each test has its own database."""

from __future__ import annotations

import fcntl
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.conftest import free_ports
from tests.integration.postgres.pair import Pair, started
from tests.integration.postgres.proxy import Proxy
from tests.integration.postgres.server import PASSWORD, Postgres

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with alone():
        server = Postgres(free_ports(19540, 1))
        server.call("down")
        server.call("up")
    yield server
    with alone():
        server.call("down")


@contextmanager
def alone() -> Iterator[None]:
    """Parallel test sessions must not choose the same port, nor one whose folder is being removed."""
    with (Path(tempfile.gettempdir()) / "retrainer-postgres-tests.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture
def database(postgres: Postgres) -> str:
    return postgres.database()


@pytest.fixture
def proxy(postgres: Postgres) -> Iterator[Proxy]:
    """A proxy between the server and the clients that connect to its port."""
    proxy = Proxy(postgres.port)
    yield proxy
    proxy.close()


@pytest.fixture
def pair(postgres: Postgres, database: str, tmp_path: Path) -> Iterator[Pair]:
    yield from started(Pair(postgres, database, tmp_path))


@pytest.fixture(autouse=True)
def password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
