"""Upgrade to the next release with a migration, and rollback, under continuous load: each number counts once."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from retrainer.store.migrate import HEAD
from tests import next_release
from tests.integration.postgres.server import Postgres

from .account import Judge, Load
from .conftest import SCRIPT, kubectl, until
from .release import VALUES, Release
from .replicas import POSTGRES, TEMPLATE, Replicas
from .test_chart_sources import NODE, call

if TYPE_CHECKING:
    from collections.abc import Iterator

BUILD = Path(__file__).parents[2] / "deploy" / "image" / "build"
NEXT = VALUES["image"] | {"tag": "next"}
EACH = """
version: 1
sources:
  push: {type: webhook, path: /hooks/push}
rules:
  - name: churn
    triggers: {told: {data: {source: push}}}
    submit: {workflow_template: nothing}
"""
SCHEMA = "SELECT version_num FROM alembic_version"
LAST = "SELECT build FROM runs ORDER BY id DESC LIMIT 1"


@pytest.fixture(scope="module", autouse=True)
def image(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Build the image of the next release, and load it on the node."""
    source, out = tmp_path_factory.mktemp("next"), tmp_path_factory.mktemp("image")
    next_release.make(source)
    given = {"BASE": "debian", "IMAGE": "localhost/retrainer:next", "CONTEXT": str(source), "OUT": str(out)}
    for command in ([str(BUILD)], [str(SCRIPT), "load", str(out / "retrainer-image.tar")]):
        done = subprocess.run(
            command, env={**os.environ, **given}, capture_output=True, text=True, check=False, timeout=600
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    server = Postgres(POSTGRES, NODE)
    for action in ("down", "up"):  # remains of an interrupted session
        call("kafka.sh", action)
        server.call(action)
    yield server
    server.call("down")
    call("kafka.sh", "down")


@pytest.fixture
def database(postgres: Postgres) -> str:
    return postgres.database()


@pytest.fixture
def release(platform: str, postgres: Postgres, database: str) -> Iterator[Replicas]:
    kubectl("-n", platform, "apply", "-f", "-", given=TEMPLATE)
    installed = Replicas(platform, postgres, database)
    installed.install()
    yield installed
    installed.uninstall()


@pytest.fixture
def load(release: Replicas) -> Iterator[Load]:
    roads = Load(release)
    yield roads
    roads.end()


def test_the_next_release_comes_and_goes(release: Replicas, load: Load, postgres: Postgres, database: str) -> None:
    judge = Judge(release.namespace)
    load.more(20)
    assert postgres.query(database, SCHEMA) == [(HEAD,)]

    release.upgrade(image=NEXT)
    assert postgres.query(database, SCHEMA) == [(f"{next_release.SCHEMA}_{next_release.OLDEST}",)]
    release.holder()
    load.more(20)
    judge.settle(load)
    assert postgres.query(database, LAST) == [(next_release.VERSION,)]

    release.rollback()
    release.holder()
    load.more(20)
    judge.settle(load)
    assert postgres.query(database, LAST) == [(None,)]
    assert postgres.query(database, "SELECT count(*) FROM dead_letters") == [(0,)]


def test_a_single_one_with_a_file_goes_and_comes_back(namespace: str, storage: str) -> None:
    kubectl("-n", namespace, "apply", "-f", "-", given=TEMPLATE)
    release = Release(namespace, persistence={"storageClass": storage, "size": "1Gi"}, rules={"all": EACH})
    release.install()
    told(release, 1)
    release.upgrade(image=NEXT)
    told(release, 2)
    release.rollback()
    told(release, 3)
    release.uninstall()
    kubectl("-n", namespace, "delete", "pvc", "retrainer")


def told(release: Release, count: int) -> None:
    """Send one more event, and wait until ``count`` runs have succeeded."""
    release.push(model="churn")
    until(lambda: [run["phase"] for run in release.runs("churn")] == ["SUCCEEDED"] * count)
