"""Backups in folders and buckets, and from the daemon: complete or not there, pruned, listed and restored."""

from __future__ import annotations

import hashlib
import io
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from retrainer.cli import backup_places, store_backup
from retrainer.store import statements
from retrainer.store import tables as t
from retrainer.store.backup import BackupContent
from retrainer.store.base import StoreError
from retrainer.store.sqlite import SqliteStore
from retrainer.util.piece_reader import PieceReader
from tests.unit.api.ledger import NOW

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.cli.conftest import Ask

BUCKET = "backups"
OLD = ("ml-20200101T000000Z.db", "ml-20200102T000000Z.db", "other-20200101T000000Z.db", "notes.txt")


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """The settings of instance `ml`, with a store beside them."""
    store = SqliteStore.open(tmp_path / "store.db")
    with store.write() as conn:
        statements.put_all(conn, t.meta, [{"name": f"n{i}", "value": os.urandom(2000).hex()} for i in range(600)])
    store.close()
    file = tmp_path / "retrainer.yaml"
    file.write_text(
        "version: 1\nname: ml\nengine: {type: local, templates: t, runs: r}\nstore: {path: store.db}\n"
        "http: {token: {from_env: NOT_HERE}}\n"
    )
    return file


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
    client: Any = boto3.session.Session().client("s3", endpoint_url=endpoint)
    client.create_bucket(Bucket=BUCKET)
    yield client
    for entry in client.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        client.delete_object(Bucket=BUCKET, Key=entry["Key"])


def keys(s3: Any, prefix: str = "") -> list[str]:
    found = s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
    return [entry["Key"].removeprefix(prefix) for entry in found]


def answer(cli: Ask, *args: str) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(cli("store", *args, "-o", "json").stdout)
    return made


def checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# -- folders -----------------------------------------------------------------------------------------------------------


def test_a_folder_gets_a_named_backup_and_loses_old_ones(cli: Ask, settings: Path, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    for name in OLD:
        (folder / name).touch()
    made = answer(cli, "backup", f"{folder}/", "--store", str(settings), "--keep", "2")
    name = Path(made["path"]).name
    assert name.startswith("ml-")
    assert made["removed"] == [OLD[0]]
    assert {path.name for path in folder.iterdir()} == {name, *OLD[1:]}
    listed = answer(cli, "backups", str(folder))["items"]
    assert [item["path"] for item in listed] == [str(folder / each) for each in (name, OLD[1], OLD[2])]
    assert listed[0] == {"path": made["path"], "at": made["at"], "bytes": made["bytes"], "instance": "ml"}


def test_the_newest_of_a_folder_is_restored(cli: Ask, settings: Path, tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    for name in OLD:
        (folder / name).write_text("damaged")
    made = answer(cli, "backup", str(folder), "--store", str(settings))
    done = answer(cli, "restore", str(folder), "--store", str(settings))
    assert (done["backup"], done["before"]) == (made["path"], str(tmp_path / "store.db.before-1"))


@pytest.mark.parametrize(
    ("names", "options", "reason"),
    [
        pytest.param([], [], "has no backup", id="an empty folder"),
        pytest.param([OLD[2]], ["--name", "ml"], "has no backup of ml; there are some of other", id="of others only"),
        pytest.param(OLD, [], "has backups of ml, other; name one with --name", id="of several"),
    ],
)
def test_which_backup_is_the_newest(
    cli: Ask, tmp_path: Path, names: list[str], options: list[str], reason: str
) -> None:
    folder = tmp_path / "kept"
    folder.mkdir()
    for name in names:
        (folder / name).touch()
    failed = cli("store", "fetch", f"{folder}/", str(tmp_path / "f.db"), *options, code=1)
    assert reason in failed.stderr
    assert not (tmp_path / "f.db").exists()


@pytest.mark.parametrize(
    ("args", "code", "reason"),
    [
        pytest.param(["{folder}/a.db", "--keep", "2"], 2, "--keep and --keep-for are for folders", id="keep a file"),
        pytest.param(["{folder}/none/"], 1, "there is no folder", id="no such folder"),
        pytest.param(["s3://"], 1, "the bucket is missing; write s3://bucket/prefix/", id="no bucket"),
        pytest.param(["{folder}/", "--keep-for", "a month"], 2, "month", id="no duration"),
        pytest.param(["{folder}/", "--keep", "0"], 2, "0 is not in the range", id="keep none"),
        pytest.param(["{folder}/", "--dump", "{settings}"], 1, "is no file of `pg_dump --format=custom`", id="no dump"),
        pytest.param(["{folder}/", "--dump", "{settings}", "--from-daemon"], 2, "leave one of them out", id="both"),
    ],
)
def test_what_is_refused(cli: Ask, settings: Path, tmp_path: Path, args: list[str], code: int, reason: str) -> None:
    given = [arg.format(folder=tmp_path, settings=settings) for arg in args]
    assert reason in cli("store", "backup", *given, "--store", str(settings), code=code).stderr
    assert {path.name for path in tmp_path.iterdir()} == {"store.db", "store.db.lock", "retrainer.yaml"}


def test_a_dump_is_put_in_place_with_its_time(cli: Ask, tmp_path: Path) -> None:
    dump = tmp_path / "scratch.dump"
    dump.write_bytes(b"PGDMP" + os.urandom(100))
    os.utime(dump, (NOW, NOW))
    (tmp_path / "kept").mkdir()
    made = answer(cli, "backup", str(tmp_path / "kept"), "--dump", str(dump), "--name", "ml", "--keep", "1")
    file = Path(made["path"])
    assert (file.suffix, checksum(file), made["bytes"]) == (".dump", checksum(dump), 105)
    assert file.name == f"ml-{made['at'].replace('-', '').replace(':', '')}.dump"


# -- buckets -----------------------------------------------------------------------------------------------------------


def test_a_bucket_gets_a_backup_and_gives_it_back(
    cli: Ask, settings: Path, tmp_path: Path, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name in OLD:
        s3.put_object(Bucket=BUCKET, Key=f"ml/{name}", Body=b"")
    s3.put_object(Bucket=BUCKET, Key=f"ml/deeper/{OLD[0]}", Body=b"")
    made = answer(cli, "backup", f"s3://{BUCKET}/ml/", "--store", str(settings), "--keep", "2", "--sse", "AES256")
    key = made["path"].removeprefix(f"s3://{BUCKET}/")
    assert made["removed"] == [OLD[0]]
    assert set(keys(s3, "ml/")) == {key.removeprefix("ml/"), *OLD[1:], f"deeper/{OLD[0]}"}
    head = s3.head_object(Bucket=BUCKET, Key=key)
    assert (head["ContentLength"], head["ServerSideEncryption"]) == (made["bytes"], "AES256")
    assert list(tmp_path.glob(".*")) == [], "no draft"

    cli("store", "fetch", made["path"], str(tmp_path / "f.db"))
    assert checksum(tmp_path / "f.db") == head["Metadata"]["sha256"]
    done = answer(cli, "restore", f"s3://{BUCKET}/ml/", "--store", str(settings))
    assert done["backup"] == made["path"]
    SqliteStore.open(tmp_path / "store.db").close()


def test_a_damaged_object_is_not_restored(cli: Ask, settings: Path, tmp_path: Path, s3: Any) -> None:
    made = answer(cli, "backup", f"s3://{BUCKET}/ml.db", "--store", str(settings))
    assert made["path"] == f"s3://{BUCKET}/ml.db"
    body = bytearray(s3.get_object(Bucket=BUCKET, Key="ml.db")["Body"].read())
    body[5000] ^= 1
    s3.put_object(Bucket=BUCKET, Key="ml.db", Body=bytes(body), Metadata={"sha256": checksum(settings)})
    before = checksum(tmp_path / "store.db")
    assert "is damaged" in cli("store", "restore", made["path"], "--store", str(settings), code=1).stderr
    assert checksum(tmp_path / "store.db") == before
    assert "exists already" in cli("store", "backup", made["path"], "--store", str(settings), code=1).stderr
    assert "does not exist" in cli("store", "backup", "s3://absent/", "--from-daemon", code=1).stderr, "asked first"
    assert list(tmp_path.glob(".*")) == []


def test_an_upload_in_parts_that_fails_leaves_no_object(
    cli: Ask, settings: Path, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup_places, "PART", 5 * 1024**2)
    store = SqliteStore.open(settings.parent / "store.db")
    with store.write() as conn:
        statements.put_all(conn, t.meta, [{"name": f"m{i}", "value": os.urandom(2000).hex()} for i in range(3000)])
    store.close()
    made = answer(cli, "backup", f"s3://{BUCKET}/whole.db", "--store", str(settings))
    assert made["bytes"] > 2 * backup_places.PART
    assert s3.head_object(Bucket=BUCKET, Key="whole.db")["ETag"].endswith('-3"'), "in three parts"
    monkeypatch.setattr(store_backup, "snapshot", lambda *_: BackupContent(cut(), NOW, made["bytes"], "", ""))
    assert "it ended early" in cli("store", "backup", f"s3://{BUCKET}/cut.db", "--store", str(settings), code=1).stderr
    assert keys(s3) == ["whole.db"]
    assert s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []) == []


def cut() -> Any:
    """A backup that ends in an error after some parts."""

    def pieces() -> Iterator[bytes]:
        for _ in range(12):
            yield bytes(1024**2)
        raise StoreError("it ended early")

    return io.BufferedReader(PieceReader(pieces()))
