"""Prometheus and Alertmanager, shared by all tests; each test has its own engine and its own model."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from tests.integration.conftest import free_ports
from tests.integration.prometheus.monitored_engine import MonitoredEngine
from tests.integration.prometheus.monitoring import Monitoring, Target

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIRST_PORT, WEB_PORT = 19610, 19810


@pytest.fixture(scope="session")
def target() -> Iterator[Target]:
    target = Target()
    thread = threading.Thread(target=target.serve)
    thread.start()
    yield target
    target.stop()
    thread.join()


@pytest.fixture(scope="session")
def web_port() -> int:
    """The port of the webhook. Alertmanager's configuration needs it before any test starts."""
    return free_ports(WEB_PORT, 1)


@pytest.fixture(scope="session")
def servers(target: Target, web_port: int) -> Iterator[Monitoring]:
    servers = Monitoring(free_ports(FIRST_PORT, 2))
    servers.configure(target.port, f"http://127.0.0.1:{web_port}/hooks/alerts")
    try:
        servers.call("up")
        yield servers
    finally:
        servers.call("down")


@pytest.fixture
def monitoring(servers: Monitoring) -> Iterator[Monitoring]:
    """Make sure that both servers run, whatever the previous test did to them."""
    yield servers
    for server in ("alertmanager", "prometheus"):
        servers.call("ensure", server)


@pytest.fixture
def house(monitoring: Monitoring, web_port: int, tmp_path: Path) -> Iterator[MonitoredEngine]:
    house = MonitoredEngine(tmp_path / "retrainer.db", monitoring.url, web_port)
    yield house
    house.close()


@pytest.fixture
def model(target: Target) -> Iterator[str]:
    """A model name that no other test uses. Its series are removed at the end."""
    name = f"m-{uuid4().hex[:8]}"
    yield name
    target.psi.remove_by_labels({"model": name})
    target.pushed.remove_by_labels({"model": name})
