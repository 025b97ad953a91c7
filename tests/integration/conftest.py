"""Servers shared by the tests of several sources. Each starts once per session, when a test first needs it."""

from __future__ import annotations

import fcntl
import socket
from typing import TYPE_CHECKING

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.integration.broker import CACHE, Broker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from xdist.remote import Producer

FIRST_PORT = 19192
"""Leaves port 19092 free for a developer's own broker."""
PORTS = 5


class FolderScheduling(LoadScopeScheduling):  # type: ignore[misc] - xdist has no types
    """Keeps a folder in one process: its tests share servers, and some of them stop a server on purpose."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.removeprefix("tests/integration/").partition("/")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> FolderScheduling:
    return FolderScheduling(config, log)


def pytest_configure(config: pytest.Config) -> None:
    # kafka-python leaves the sockets of refused connections to the garbage collector.
    config.addinivalue_line("filterwarnings", "ignore:unclosed <s(ocket|sl):ResourceWarning")


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "tests.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # parallel test sessions must not choose the same ports
        broker = Broker(free_ports(FIRST_PORT, PORTS))
        broker.up()
    yield broker
    broker.down()


def free_ports(first: int, count: int) -> int:
    """Return the first of ``count`` consecutive free ports, searched in steps of ten."""
    for port in range(first, first + 100, 10):
        if all(is_free(port + n) for n in range(count)):
            return port
    raise AssertionError(f"no {count} free ports in a row from {first} on")


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
