"""A run's manifest is written completely, to a folder or a real bucket, before its Workflow is created."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from retrainer.config.settings import Settings
from retrainer.manifests import document
from retrainer.manifests.manifests import Manifests, manifest_uri
from retrainer.manifests.places import PART
from retrainer.store import tables as t
from retrainer.workflows.base import Later
from tests.unit.api.ledger import RUN, Memory, event, history, run
from tests.unit.workflows.samples import a_run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retrainer.runs.run import Run

ROOT = Path(__file__).parents[3]
FED = RUN.format(1)


def settings(**manifests: Any) -> Settings:
    engine = {"type": "local", "templates": "templates", "runs": "runs"}
    chosen = {"manifests": manifests} if manifests else {}
    return Settings.model_validate({"version": 1, "engine": engine, **chosen})


ADDRESSES = [
    pytest.param({}, "http://127.0.0.1:8080/api/v1/runs/R/manifest", id="the daemon itself"),
    pytest.param(
        {"type": "api", "base_url": "https://retrainer.ml/x/"},
        "https://retrainer.ml/x/api/v1/runs/R/manifest",
        id="the daemon's other name",
    ),
    pytest.param({"type": "s3", "url": "s3://lake"}, "s3://lake/R.json", id="bucket"),
    pytest.param({"type": "s3", "url": "s3://lake/a/b/"}, "s3://lake/a/b/R.json", id="prefix"),
    pytest.param(
        {"type": "volume", "path": "x", "uri": "file:///data/manifests"}, "file:///data/manifests/R.json", id="volume"
    ),
]


@pytest.mark.parametrize(("manifests", "expected"), ADDRESSES)
def test_the_address_follows_from_the_run_alone(manifests: dict[str, Any], expected: str) -> None:
    assert manifest_uri(settings(**manifests), lambda: "http://127.0.0.1:8080")("R") == expected


@pytest.fixture
def memory() -> Iterator[Memory]:
    made = history()
    yield made
    made.close()


def mentioning(run: str = FED, **changes: Any) -> Run:
    return a_run(run, chain=run, submit={"parameters": {"inputs": "${run.manifest_uri}"}}, **changes)


def on_volume(folder: Path, memory: Memory) -> Manifests:
    return Manifests(settings(type="volume", path=str(folder), uri="file:///data"), memory.read)


@pytest.mark.parametrize(
    ("place", "run", "needed"),
    [
        pytest.param({"type": "volume", "path": "x", "uri": "file:///data"}, mentioning(), True, id="it is read"),
        pytest.param({"type": "volume", "path": "x", "uri": "file:///data"}, a_run(), False, id="it is not"),
        pytest.param({}, mentioning(), False, id="the daemon itself answers for it"),
    ],
)
def test_what_has_to_be_put_somewhere_first(place: dict[str, Any], run: Run, needed: bool, memory: Memory) -> None:
    assert Manifests(settings(**place), memory.read).needed(run) is needed


def test_a_volume_has_the_whole_manifest_and_nothing_else(tmp_path: Path, memory: Memory) -> None:
    on_volume(tmp_path / "new/folder", memory).prepare(mentioning())
    (written,) = (tmp_path / "new/folder").iterdir()
    assert written.name == f"{FED}.json"
    told = json.loads(written.read_bytes())
    assert ([fed["seq"] for fed in told["inputs"]], told["count"]) == ([1, 2, 3, 6, 7], 5)


def test_nothing_is_written_for_a_rule_that_does_not_ask_for_it(tmp_path: Path, memory: Memory) -> None:
    on_volume(tmp_path, memory).prepare(a_run(FED, submit={"parameters": {"since": "${window.start}"}}))
    assert list(tmp_path.iterdir()) == []


def test_a_retry_reads_the_manifest_of_the_first_attempt(tmp_path: Path, memory: Memory) -> None:
    retried = mentioning(RUN.format(2))
    on_volume(tmp_path, memory).prepare(mentioning())
    first = (tmp_path / f"{FED}.json").stat()
    on_volume(tmp_path, memory).prepare(a_run(RUN.format(2), chain=FED, retry_of=FED, submit=retried.submit))
    assert [path.name for path in tmp_path.iterdir()] == [f"{FED}.json"]
    assert (tmp_path / f"{FED}.json").stat().st_mtime_ns == first.st_mtime_ns


def test_what_cannot_be_written_waits_and_says_why(tmp_path: Path, memory: Memory) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Later, match=r"the volume of `manifests\.path` must be mounted") as raised:
        on_volume(tmp_path / "file", memory).prepare(mentioning())
    assert raised.value.code == "manifest"


def test_a_run_that_is_no_more_is_not_waited_for_in_silence(tmp_path: Path, memory: Memory) -> None:
    with pytest.raises(Later, match="there is no run NOPE"):
        on_volume(tmp_path, memory).prepare(mentioning("NOPE"))
    assert list(tmp_path.iterdir()) == []


def test_a_stop_leaves_nothing_half_written(tmp_path: Path, memory: Memory) -> None:
    manifests = on_volume(tmp_path, memory)
    manifests.stop()
    with pytest.raises(Later, match="was stopped"):
        manifests.prepare(mentioning())
    assert list(tmp_path.iterdir()) == []


def test_one_writes_while_the_others_are_told_to_wait(
    tmp_path: Path, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifests = on_volume(tmp_path, memory)
    refused: list[str] = []
    whole = document.document

    def meddling(*given: Any) -> Iterator[bytes]:
        with pytest.raises(Later) as raised:
            manifests.prepare(mentioning())
        refused.append(str(raised.value))
        yield from whole(*given)

    monkeypatch.setattr("retrainer.manifests.manifests.document", meddling)
    manifests.prepare(mentioning())
    assert refused == [f"the manifest of run {FED} is still being written"]
    assert (tmp_path / f"{FED}.json").is_file()


# -- a bucket ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    client = boto3.session.Session().client("s3", endpoint_url=endpoint, region_name="us-east-1")
    client.create_bucket(Bucket="lake")
    return client


def in_bucket(endpoint: str, memory: Memory, url: str = "s3://lake/manifests") -> Manifests:
    return Manifests(settings(type="s3", url=url, endpoint_url=endpoint, region="us-east-1"), memory.read)


def test_a_bucket_has_the_manifest_once(endpoint: str, s3: Any, memory: Memory) -> None:
    in_bucket(endpoint, memory).prepare(mentioning())
    found = s3.get_object(Bucket="lake", Key=f"manifests/{FED}.json")
    assert json.load(found["Body"])["count"] == 5
    assert found["ContentType"] == "application/json"
    in_bucket(endpoint, memory).prepare(mentioning())
    again = s3.head_object(Bucket="lake", Key=f"manifests/{FED}.json")
    assert again["LastModified"] == found["LastModified"]


def test_a_large_one_comes_in_parts_and_whole(endpoint: str, s3: Any, memory: Memory) -> None:
    many, padding = 12_000, "x" * 1024
    big = RUN.format(9)
    memory.put(t.runs, run(9, window={"events": many, "ranges": [[100, 99 + many]]}))
    data = {"note": padding}
    memory.put(t.events, *(event(100 + n, type="json", data=data) for n in range(many)))
    memory.put(t.inputs, *({"state": 1, "seq": 100 + n} for n in range(many)))
    in_bucket(endpoint, memory).prepare(mentioning(big))
    body = s3.get_object(Bucket="lake", Key=f"manifests/{big}.json")["Body"].read()
    assert len(body) > PART
    assert json.loads(body)["count"] == len(json.loads(body)["inputs"]) == many


def test_a_bucket_that_is_not_there_is_waited_for(endpoint: str, s3: Any, memory: Memory) -> None:
    assert s3
    with pytest.raises(Later, match=r"s3://nope/.*NoSuchBucket.*s3:PutObject") as raised:
        in_bucket(endpoint, memory, "s3://nope").prepare(mentioning())
    assert raised.value.code == "manifest"


def test_a_stop_leaves_no_object(endpoint: str, s3: Any, memory: Memory) -> None:
    manifests = in_bucket(endpoint, memory, "s3://lake/stopped")
    manifests.stop()
    with pytest.raises(Later):
        manifests.prepare(mentioning())
    assert s3.list_objects_v2(Bucket="lake", Prefix="stopped")["KeyCount"] == 0


# -- the page ------------------------------------------------------------------------------------------------------


def test_the_reader_on_the_page_reads_it_and_notices_a_cut(tmp_path: Path, memory: Memory) -> None:
    page = (ROOT / "docs/reference/manifest.md").read_text()
    known: dict[str, Any] = {}
    exec(re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0], known)
    on_volume(tmp_path, memory).prepare(mentioning())
    lines = (tmp_path / f"{FED}.json").read_text().splitlines(keepends=True)
    assert [fed["seq"] for fed in known["read_manifest"](lines)] == [1, 2, 3, 6, 7]
    with pytest.raises(ValueError, match="cut off"):
        list(known["read_manifest"](lines[:-1]))
