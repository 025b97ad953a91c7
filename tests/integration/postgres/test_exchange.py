"""`retrainer store` on PostgreSQL, and the migration from a SQLite file, which keeps all state."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from retrainer.event import Event, Poison
from retrainer.sources.base import Batch
from retrainer.store.postgres import PostgresStore
from tests.houses.engine import RunningEngine

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.postgres.server import Postgres

SOURCES = {"push": {"type": "webhook", "path": "/hooks/push"}}
RULE: dict[str, Any] = {
    "name": "r",
    "triggers": {"new": {"data": {"source": "push", "batch": {"at_least": {"events": 4}}}}},
    "limits": {"overlap": "allow_all"},
    "submit": {"workflow_template": "train"},
}


def cli(*arguments: str, code: int = 0) -> str:
    """Run the CLI; return its output, including errors."""
    command = [sys.executable, "-c", "from retrainer.cli.main import main; main()", "store", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == code, f"{arguments}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def deliver(house: RunningEngine, numbers: range) -> list[str]:
    items = [Event("push", f"e{n}", "t", house.clock.now(), {"n": n}, f"s{n}") for n in numbers]
    return list(house.engine.offer(Batch("push", items, identity_window=3600)).result(30).outcomes)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A store with a run, a pending window of two events, and a dead letter."""
    house = RunningEngine(tmp_path / "retrainer.db")
    house.load(SOURCES, [RULE])
    assert deliver(house, range(6)) == ["matched"] * 6
    house.engine.offer(Batch("push", [Poison("push", "bad", b"\x00\xff", "not JSON")])).result(30)
    house.close()
    return house.path


def test_a_move_to_postgresql_loses_nothing(file: Path, postgres: Postgres, database: str, tmp_path: Path) -> None:
    url = postgres.url(database)
    before, after = tmp_path / "before.jsonl", tmp_path / "after.jsonl"
    cli("export", str(file), "--to", str(before))
    assert "events" in cli("import", url, "--from", str(before))
    cli("export", url, "--to", str(after))
    assert after.read_text() == before.read_text()
    house = RunningEngine(tmp_path, build=lambda _: PostgresStore.open(url))
    house.load(SOURCES, [RULE])
    assert deliver(house, range(4, 8)) == ["duplicate", "duplicate", "matched", "matched"]
    windows = [json.loads(row[0])["events"] for row in house.query('SELECT "window" FROM runs ORDER BY id')]
    house.engine.offer(Batch("push", [Poison("push", "bad2", b"\x01", "not JSON")])).result(30)
    assert house.query("SELECT id, event FROM dead_letters ORDER BY id") == [(1, "bad"), (2, "bad2")]
    house.close()
    assert windows == [4, 4]


def test_a_move_back_loses_nothing(file: Path, postgres: Postgres, database: str, tmp_path: Path) -> None:
    lines, back = tmp_path / "lines.jsonl", tmp_path / "back.db"
    cli("export", str(file), "--to", str(lines))
    cli("import", postgres.url(database), "--from", str(lines))
    cli("export", postgres.url(database), "--to", str(lines))
    cli("import", str(back), "--from", str(lines))
    cli("export", str(back), "--to", str(tmp_path / "again.jsonl"))
    assert (tmp_path / "again.jsonl").read_text() == lines.read_text()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        pytest.param("nonsense", "line 2: not a row", id="no JSON"),
        pytest.param('{"table": "stars", "row": {}}', "no table 'stars'", id="a table of another release"),
        pytest.param('{"table": "pauses", "row": {"colour": 1}}', "pauses has no colour", id="a column of another"),
    ],
)
def test_an_import_is_whole_or_nothing(
    postgres: Postgres, database: str, tmp_path: Path, line: str, words: str
) -> None:
    (tmp_path / "lines").write_text('{"table": "meta", "row": {"name": "a", "value": "1"}}\n' + line + "\n")
    told = cli("import", postgres.url(database), "--from", str(tmp_path / "lines"), code=1)
    assert "nothing was imported" in told
    assert words in " ".join(told.split())
    assert postgres.query(database, "SELECT count(*) FROM meta") == [(0,)]


def test_what_is_there_is_not_imported_over(file: Path, tmp_path: Path) -> None:
    cli("export", str(file), "--to", str(tmp_path / "lines"))
    assert "is not empty" in cli("import", str(file), "--from", str(tmp_path / "lines"), code=1)


def test_a_store_that_somebody_leads_is_not_imported_into(postgres: Postgres, database: str, tmp_path: Path) -> None:
    store = PostgresStore.open(postgres.url(database))
    assert store.claim()
    (tmp_path / "lines").write_text("")
    told = cli("import", postgres.url(database), "--from", str(tmp_path / "lines"), code=1)
    store.release()
    store.close()
    assert "is the leader; stop that daemon first" in " ".join(told.split())


def test_a_database_is_made_and_checked(postgres: Postgres, database: str, tmp_path: Path) -> None:
    """The database is given by its URL, or by a settings file that names the password."""
    url = postgres.url(database)
    assert "has schema" in " ".join(cli("migrate", url).split())
    settings = {
        "version": 1,
        "engine": {"type": "local", "templates": ".", "runs": "runs"},
        "store": {"url": url, "password": {"from_env": "PGPASSWORD"}},
    }
    (tmp_path / "retrainer.yaml").write_text(json.dumps(settings))
    told = json.loads(cli("check", str(tmp_path / "retrainer.yaml"), "-o", "json"))
    assert (told["good"], told["rows"]["events"]) == (True, 0)
    with postgres.connect(database) as admin:
        admin.execute("DROP INDEX runs_chain")
        admin.execute("DROP TABLE fan_outs")
    told = json.loads(cli("check", url, "-o", "json", code=1))
    assert sorted(told["problems"]) == ["index runs_chain of runs is missing", "table fan_outs is missing"]
