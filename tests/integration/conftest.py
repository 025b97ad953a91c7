"""Servers shared by the tests of several sources. Each starts once per session, when a test first needs it."""

from __future__ import annotations

import fcntl
import socket
from typing import TYPE_CHECKING

import pytest

from tests.integration.broker import CACHE, Broker

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST_PORT = 19192
"""Leaves port 19092 free for a developer's own broker."""
PORTS = 5


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
