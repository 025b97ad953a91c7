"""A real MinIO that notifies a Kafka topic or a webhook with a token, and sweeps of its buckets."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from starlette.applications import Starlette

from retrainer.sources.webhook import Webhooks
from tests.integration.minio import PASSWORD, USER, Minio
from tests.integration.s3.conftest import free_port
from tests.integration.s3.lake_engine import CREATED, REMOVED
from tests.integration.s3.test_sqs import KEYS
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.broker import Broker
    from tests.integration.s3.lake_engine import LakeEngine

TOPIC, TOKEN = "minio-events", "a-token"
ROADS = pytest.mark.parametrize("road", ["kafka", "webhook"])


@pytest.fixture(scope="module")
def hook_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def minio(broker: Broker, hook_port: int) -> Iterator[Minio]:
    broker.create_topic(TOPIC)
    hook = f"http://127.0.0.1:{hook_port}/hooks/lake"
    server = Minio(free_port(), broker.servers, TOPIC, hook, TOKEN)
    server.up()
    yield server
    server.down()


class Lake:
    """A source for this MinIO through one channel, Kafka or webhook."""

    def __init__(self, minio: Minio, house: LakeEngine, broker: Broker, port: int, name: str) -> None:
        self.minio, self.house, self.name = minio, house, name
        self._broker, self._port = broker, port
        self._stops: list[Any] = []

    def listen(self, road: str, **settings: Any) -> None:
        # Records of earlier tests in the topic are skipped.
        topics = {
            "bootstrap_servers": [self._broker.servers],
            "topics": [TOPIC],
            "group_id": self.name,
            "start": "latest",
        }
        via = {"kafka": topics} if road == "kafka" else {"webhook": {"path": "/hooks/lake", "token": {"from_env": "T"}}}
        self.settings = source = {"type": "s3", "via": via, "endpoint_url": self.minio.url, **settings}
        self.source = self.house.source("lake", source, [CREATED, REMOVED])
        if road == "webhook":
            self._serve(source)
        else:
            until(lambda: len(self.house.engine.parts("lake")) >= 3, "its partitions are claimed")

    def _serve(self, source: dict[str, Any]) -> None:
        config: Any = self.house.load({"lake": source}, [CREATED, REMOVED]).sources["lake"]
        hooks = Webhooks({"lake": config}, self.house.engine, self.house.clock, lambda _: TOKEN)
        app = Starlette(routes=[hooks.route()])
        server = uvicorn.Server(
            uvicorn.Config(
                app, port=self._port, log_level="error", ws="none", lifespan="off", timeout_graceful_shutdown=5
            )
        )
        thread = threading.Thread(target=server.run)
        thread.start()
        self._stops += [lambda: setattr(server, "should_exit", True), thread.join]
        until(lambda: server.started, "the webhook listens")

    def close(self) -> None:
        """Wait for MinIO's queue first: its remaining notifications would be delivered to the next test."""
        try:
            if self._stops:
                until(lambda: self.minio.undelivered() == 0, "MinIO has delivered everything")
        finally:
            for stop in self._stops:
                stop()


@pytest.fixture
def lake(
    minio: Minio, house: LakeEngine, broker: Broker, hook_port: int, request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Lake]:  # fmt: skip
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", USER)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", PASSWORD)
    lake = Lake(minio, house, broker, hook_port, f"t{abs(hash(request.node.name)) % 10**9}")
    yield lake
    lake.close()


def facts(house: LakeEngine) -> list[tuple[str, str, int]]:
    """Type, key and size of each event."""
    return house.query("SELECT type, subject, json_extract(data, '$.size') FROM events ORDER BY type, subject")


@ROADS
def test_keys_sizes_and_removals(lake: Lake, road: str) -> None:
    lake.listen(road)
    bucket = lake.minio.bucket(lake.name, target=road)
    lake.minio.put(bucket, *KEYS, body=b"12345")
    lake.minio.s3.delete_object(Bucket=bucket, Key=KEYS[0])
    until(lambda: len(lake.house.events()) == len(KEYS) + 1, "all counted")
    created = [("s3:ObjectCreated:Put", key, 5) for key in sorted(KEYS)]
    assert facts(lake.house) == [*created, ("s3:ObjectRemoved:Delete", KEYS[0], 0)]
    assert sorted(lake.house.counted()) == sorted([("forget", KEYS[0]), *(("train", key) for key in KEYS)])
    assert lake.house.errors() == []


@ROADS
def test_each_version_counts_and_bears_its_id(lake: Lake, road: str) -> None:
    lake.listen(road)
    bucket = lake.minio.bucket(lake.name, target=road, versions=True)
    put = [lake.minio.s3.put_object(Bucket=bucket, Key="a", Body=b"the same")["VersionId"] for _ in range(3)]
    marker = lake.minio.s3.delete_object(Bucket=bucket, Key="a")["VersionId"]
    until(lambda: len(lake.house.events()) == 4, "three versions and their removal")
    told = lake.house.query("SELECT type, json_extract(data, '$.version') FROM events")
    wanted = [("s3:ObjectCreated:Put", version) for version in put] + [("s3:ObjectRemoved:DeleteMarkerCreated", marker)]
    assert sorted(told) == sorted(wanted)


@ROADS
def test_what_road_and_sweep_both_tell_counts_once(lake: Lake, road: str) -> None:
    """Half of the objects have notifications; the other half is put while there are none."""
    bucket = lake.minio.bucket(lake.name, target=road)
    lake.listen(road, sweep="300ms", sweep_settle="0s", buckets=[{"name": bucket}])
    until(lambda: f"sweep:{bucket}/" in lake.house.engine.parts("lake"), "the first sweep has begun")
    lake.minio.put(bucket, *(f"told-{n}" for n in range(10)))
    until(lambda: len(lake.house.events()) >= 10, "the first half")
    lake.minio.s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={})
    lake.minio.put(bucket, *(f"lost-{n}" for n in range(10)))
    until(lambda: len(lake.house.events()) >= 20, "the second half")
    lake.minio.put(bucket, "lost-0", body=b"other")
    until(lambda: lake.house.subjects().count("lost-0") == 2, "overwritten, it counts again")
    there = [one["Key"] for one in lake.minio.s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert sorted(lake.house.subjects()) == sorted([*there, "lost-0"])
    assert lake.house.outcomes["matched"] == 21


@ROADS
def test_what_a_run_wrote_itself_does_not_count(lake: Lake, road: str) -> None:
    """The object's metadata has the run id, and MinIO includes it in the notification."""
    lake.listen(road)
    house, bucket = lake.house, lake.minio.bucket(lake.name, target=road)
    house.load({"lake": lake.settings}, [{**CREATED, "triggers": {"new": {"data": {"source": "lake"}}}}])
    lake.minio.put(bucket, "day-1")
    until(lambda: house.query("SELECT id FROM runs"), "a run is born")
    ((run,),) = house.query("SELECT id FROM runs")
    lake.minio.s3.put_object(Bucket=bucket, Key="model", Body=b"1", Metadata={"retrainer-run": run})
    lake.minio.s3.put_object(Bucket=bucket, Key="day-2", Body=b"1", Metadata={"retrainer-run": "of-somebody-else"})
    until(lambda: len(house.events()) == 3, "all are told of")
    assert {subject: outcome for _, subject, outcome in house.events()} == {
        "day-1": "matched",
        "model": "filtered",
        "day-2": "matched",
    }


def test_a_sweep_with_credentials_that_are_wrong(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = lake.minio.bucket(lake.name)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret")
    lake.listen("webhook", sweep="300ms", buckets=[{"name": bucket}])
    until(lambda: lake.source.last_error, "it says so")
    assert f"bucket {bucket}: access denied (SignatureDoesNotMatch: " in str(lake.source.last_error)
    assert "wrong-secret" not in str(lake.source.last_error)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", PASSWORD)
    until(lambda: lake.source.last_error is None, "it goes on without a restart")


def test_what_a_webhook_did_not_take_comes_again(lake: Lake) -> None:
    """The webhook is down at first. MinIO keeps undelivered notifications."""
    bucket = lake.minio.bucket(lake.name, target="webhook")
    lake.minio.put(bucket, "a", "b")
    lake.listen("webhook")
    until(lambda: sorted(lake.house.counted()) == [("train", "a"), ("train", "b")], "delivered", 60)
