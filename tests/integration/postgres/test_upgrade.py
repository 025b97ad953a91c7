"""Two releases on one PostgreSQL with a migration between them, under load: nothing is lost or doubled."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from retrainer.daemon.leadership import LOST
from tests import next_release
from tests.integration.postgres.pair import Pair, Poster, settled
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.postgres.server import Postgres

SCHEMA = "SELECT version_num FROM alembic_version"
BUILDS = "SELECT DISTINCT coalesce(build, 'the older') FROM runs"
REMEMBERED = "SELECT state::json->>'build' FROM states WHERE rule = 'every'"
CLI = "from retrainer.cli.main import main; main()"


@pytest.fixture
def following(tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """Build the next release, whose schema an older release can use; return how to start it."""

    def make(oldest: str) -> dict[str, str]:
        folder = tmp_path / "next"
        folder.mkdir()
        next_release.make(folder, oldest)
        return {"PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"}

    return make


def leads(pair: Pair, number: int) -> Callable[[], bool]:
    return lambda: pair.leaders == [pair.daemons[number]]


def test_one_replica_after_the_other_goes_to_the_next_release_and_back(
    pair: Pair, following: Callable[[str], dict[str, str]]
) -> None:
    first, second = pair.daemons
    poster = Poster(pair)
    poster.more(60)
    following_release = following(next_release.OLDEST)
    second.stop()
    second.start(**following_release)
    assert second.exit_code is None, second.said()
    assert pair.query(SCHEMA) == [(f"{next_release.SCHEMA}_{next_release.OLDEST}",)]
    poster.more(60)
    assert pair.leaders == [first]  # the older release continues to lead
    first.stop()
    until(leads(pair, 1), "the next release has the lead")
    poster.more(60)
    until(lambda: pair.query(REMEMBERED) == [(next_release.VERSION,)], "its states hold what it alone knows")
    first.start()
    assert first.exit_code is None, first.said()
    second.stop()
    until(leads(pair, 0), "the older release has the lead again")
    poster.more(60)
    second.start()
    assert second.exit_code is None, second.said()
    poster.more(20)
    settled(pair, poster.stop())
    assert {row[0] for row in pair.query(BUILDS)} == {"the older", next_release.VERSION}
    assert pair.query("SELECT count(*) FROM dead_letters") == [(0,)]


def test_replicas_that_cannot_work_with_a_schema_end_when_it_comes(
    pair: Pair, following: Callable[[str], dict[str, str]], postgres: Postgres
) -> None:
    poster = Poster(pair)
    poster.more(60)
    following_release = following(next_release.SCHEMA)
    command = [sys.executable, "-c", CLI, "store", "migrate", postgres.url(pair.database)]
    done = subprocess.run(
        command, env={**os.environ, **following_release}, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    for daemon in pair.daemons:
        assert daemon.died() == LOST
        assert "written by a newer release (schema 9999, this one knows" in daemon.said()
        daemon.start()
        assert daemon.exit_code == 1, daemon.said()
        assert "written by a newer release (schema 9999, this one knows" in daemon.said()
    for daemon in pair.daemons:
        daemon.start(**following_release)
        assert daemon.exit_code is None, daemon.said()
    poster.more(60)
    settled(pair, poster.stop())
