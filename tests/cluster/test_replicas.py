"""Faults of two replicas, their database and the cluster: each number counts once, each slot once.

All faults hit one release under continuous load, one after the other.
"""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

import pytest

from retrainer.daemon.leadership import LOST
from tests.integration.postgres.server import Postgres

from .account import Judge, Load
from .conftest import kubectl, server, until
from .replicas import POSTGRES, TEMPLATE, Replicas, ended, signalled
from .test_chart_sources import NODE, call

if TYPE_CHECKING:
    from collections.abc import Iterator

FROZEN = 30.0
AWAY = 60.0
"""Seconds of the two faults that last."""


@pytest.fixture(scope="module")
def kafka() -> Iterator[None]:
    call("kafka.sh", "down")  # remains of an interrupted session
    call("kafka.sh", "up")
    yield
    call("kafka.sh", "down")


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    server = Postgres(POSTGRES, NODE)
    server.call("down")
    server.call("up")
    yield server
    server.call("down")


@pytest.fixture(scope="module")
def release(platform: str, kafka: None, postgres: Postgres) -> Iterator[Replicas]:
    kubectl("-n", platform, "apply", "-f", "-", given=TEMPLATE)
    installed = Replicas(platform, postgres, postgres.database())
    installed.install()
    yield installed
    installed.uninstall()


@pytest.fixture(scope="module")
def load(release: Replicas) -> Iterator[Load]:
    roads = Load(release)
    yield roads
    roads.end()


@pytest.fixture
def judge(release: Replicas, load: Load) -> Iterator[Judge]:
    """Start with both replicas ready, and judge when they are ready again."""
    release.ready()
    load.more(20)
    found = Judge(release.namespace)
    yield found
    load.more(20)
    release.ready()
    found.settle(load)


def test_the_holder_is_killed(release: Replicas, load: Load, judge: Judge) -> None:
    before = release.holder()
    signalled(before, signal.SIGKILL)
    load.more(20)
    release.holder()


def test_the_holder_is_asked_to_go(release: Replicas, load: Load, judge: Judge) -> None:
    before = release.holder()["metadata"]["name"]
    kubectl("-n", release.namespace, "delete", "pod", before, "--wait=false")
    load.more(20)
    assert release.holder()["metadata"]["name"] != before


def test_the_holder_freezes_and_comes_back(release: Replicas, load: Load, judge: Judge) -> None:
    before = release.holder()
    signalled(before, signal.SIGSTOP)
    threading.Event().wait(FROZEN)
    load.more(20)
    assert release.holder()["metadata"]["name"] != before["metadata"]["name"]
    signalled(before, signal.SIGCONT)
    assert until(lambda: ended(release, before)) == LOST
    load.more(20)
    assert release.holder()["metadata"]["name"] != before["metadata"]["name"]


def test_the_database_restarts(load: Load, judge: Judge, postgres: Postgres) -> None:
    postgres.call("stop")
    postgres.call("start")


def test_the_api_server_is_away(load: Load, judge: Judge) -> None:
    server("stop", "apiserver")
    threading.Event().wait(AWAY)
    load.more(20)
    server("start", "apiserver")


@pytest.mark.parametrize("name", ["kubelet", "workflow-controller"])
def test_a_part_of_the_cluster_restarts(load: Load, judge: Judge, name: str) -> None:
    server("stop", name)
    load.more(20)
    server("start", name)
