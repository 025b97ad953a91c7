"""A dump of PostgreSQL while two replicas accept events, kept in MinIO: the database is destroyed and restored."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.minio import PASSWORD, USER, Minio
from tests.integration.postgres.pair import BATCH, Pair, Poster
from tests.integration.s3.conftest import free_port
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

BUCKET = "backups"
CLIENTS = sorted(Path("/usr/lib/postgresql").glob("*/bin")) + sorted(
    Path(os.environ.get("POSTGRES_DIR", "/var/cache/retrainer-postgres")).glob("usr/lib/postgresql/*/bin")
)
"""Where pg_dump is, of the release of the server."""


@pytest.fixture
def minio(monkeypatch: pytest.MonkeyPatch) -> Iterator[Minio]:
    server = Minio(free_port())
    server.up()
    server.bucket(BUCKET)
    settings = {"AWS_ACCESS_KEY_ID": USER, "AWS_SECRET_ACCESS_KEY": PASSWORD, "AWS_REGION": "us-east-1"}
    for name, value in {**settings, "AWS_ENDPOINT_URL_S3": server.url}.items():
        monkeypatch.setenv(name, value)
    yield server
    server.down()


def shell(line: str, folder: Path) -> None:
    paths = ":".join([*map(str, CLIENTS), os.environ["PATH"]])
    done = subprocess.run(
        ["sh", "-ec", line],
        cwd=folder,
        env={**os.environ, "PATH": paths},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr


def workflows(pair: Pair, folder: Path) -> list[str]:
    """The names of all Workflows that were ever created."""
    return sorted(path.name for path in (folder / "runs").glob("*/every-*"))


def test_a_dump_under_load_is_restored_into_an_empty_database(pair: Pair, tmp_path: Path, minio: Minio) -> None:
    poster = Poster(pair)
    poster.more(2 * BATCH)
    daemon = pair.daemons[1]
    with pytest.raises(AssertionError) as refused:
        daemon.cli("store", "backup", "retrainer.dump", "--store", str(daemon.settings))
    line = next(text.strip() for text in str(refused.value).splitlines() if text.strip().startswith("pg_dump "))

    before = list(poster.accepted)
    shell(f"touch began; {line}; touch -r began retrainer.dump", tmp_path)
    poster.more(3 * BATCH)
    options = ("--dump", str(tmp_path / "retrainer.dump"), "--name", "pair", "--keep", "1", "--report", "-o", "json")
    made: dict[str, Any] = json.loads(daemon.cli("store", "backup", f"s3://{BUCKET}/pair/", *options))
    assert made["path"].startswith(f"s3://{BUCKET}/pair/pair-")
    for replica in pair.daemons:
        last = replica.http.get("/api/v1/store/last-backup").json()
        assert (last["place"], last["bytes"]) == (made["path"], made["bytes"])
        assert (replica.metric("retrainer_store_backup_timestamp_seconds") or 0) > 0

    accepted = poster.stop()
    for replica in pair.daemons:
        replica.kill()
    created = workflows(pair, tmp_path)
    with pair.postgres.connect() as admin:
        admin.execute(f"DROP DATABASE {pair.database} WITH (FORCE)")
        admin.execute(f"CREATE DATABASE {pair.database}")
    daemon.cli("store", "fetch", f"s3://{BUCKET}/pair/", str(tmp_path / "fetched.dump"))
    to = f"-h {pair.postgres.host} -p {pair.postgres.port} -U retrainer -d {pair.database}"
    shell(f"pg_restore {to} --clean --if-exists --single-transaction fetched.dump", tmp_path)
    restored = {row[0] for row in pair.query("SELECT workflow FROM runs")}
    for replica in pair.daemons:
        replica.start()

    until(lambda: pair.leaders, "there is a leader")
    until(lambda: set(before) <= set(pair.counted()), "what was acknowledged before is counted")
    counted = pair.counted()
    assert len(set(counted)) == len(counted), "each once"
    assert set(counted) <= set(accepted)
    open_ = "SELECT count(*) FROM runs WHERE phase <> 'SUCCEEDED'"
    until(lambda: pair.query(open_)[0][0] == 0, "the runs of the backup end")
    assert {row[0] for row in pair.query("SELECT workflow FROM runs")} >= restored
    new = set(workflows(pair, tmp_path)) - set(created)
    assert not new & restored, "no run of the backup got a second Workflow"
    assert len(restored) >= len(before) // BATCH - 1
