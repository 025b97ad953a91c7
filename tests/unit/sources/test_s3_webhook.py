"""Recorded notifications of Ceph and MinIO, posted to the endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from retrainer.config import models
from retrainer.event import Event, Poison
from retrainer.sources.webhook import Webhooks
from tests.unit.sources.sources_kit import FixedClock, ScriptedIntake, served

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = 1_780_000_000.0
TOKEN = "the-token"
CEPH = {
    "eventVersion": "2.2",
    "eventSource": "ceph:s3",
    "awsRegion": "default",
    "eventTime": "2026-03-01T02:30:00.123456Z",
    "eventName": "ObjectCreated:Put",
    "userIdentity": {"principalId": "training"},
    "requestParameters": {"sourceIPAddress": ""},
    "responseElements": {"x-amz-request-id": "d1a5.4155", "x-amz-id-2": "1043-default-default"},
    "s3": {
        "s3SchemaVersion": "1.0",
        "configurationId": "lake",
        "bucket": {
            "name": "features",
            "ownerIdentity": {"principalId": "training"},
            "arn": "arn:aws:s3:default::features",
            "id": "d1a5.4144.1",
        },
        "object": {
            "key": "churn/a b+c 100%.csv",
            "size": "1024",
            "eTag": "37b51d194a7513e45b56f6524f2d51f2",
            "versionId": "",
            "sequencer": "F7E0A46512345678",
            "metadata": [],
            "tags": [],
        },
    },
    "eventId": "1646101800.123456.37b51d194a7513e45b56f6524f2d51f2",
    "opaqueData": "",
}
MINIO = {
    "eventVersion": "2.0",
    "eventSource": "minio:s3",
    "awsRegion": "",
    "eventTime": "2026-03-01T02:30:00.123Z",
    "eventName": "s3:ObjectCreated:Put",
    "s3": {
        "s3SchemaVersion": "1.0",
        "configurationId": "Config",
        "bucket": {"name": "features", "arn": "arn:aws:s3:::features"},
        "object": {
            "key": "churn%2Fa+b%2Bc+100%25.csv",
            "size": 1024,
            "eTag": "37b51d194a7513e45b56f6524f2d51f2",
            "contentType": "text/csv",
            "sequencer": "18C5A3B2F1E0D4A8",
        },
    },
    "source": {"host": "127.0.0.1", "port": "", "userAgent": "aws-sdk"},
}


@pytest.fixture
def intake() -> ScriptedIntake:
    return ScriptedIntake()


def listener(**settings: Any) -> models.S3Source:
    via = {"webhook": {"path": "/hooks/lake", "token": {"from_env": "TOKEN"}}}
    return models.S3Source.model_validate({"type": "s3", "via": via, **settings})


@pytest.fixture
def port(intake: ScriptedIntake, request: pytest.FixtureRequest) -> Iterator[int]:
    config = listener(**getattr(request, "param", {}))
    with served(Webhooks({"lake": config}, intake, FixedClock(NOW), lambda _: TOKEN)) as port:
        yield port


def post(port: int, *records: dict[str, Any], token: str = TOKEN) -> httpx.Response:
    with httpx.Client(trust_env=False) as client:
        return client.post(
            f"http://127.0.0.1:{port}/hooks/lake",
            json={"EventName": "s3:ObjectCreated:Put", "Records": records},
            headers={"Authorization": f"Bearer {token}"},
        )


@pytest.mark.parametrize("record", [pytest.param(CEPH, id="ceph"), pytest.param(MINIO, id="minio")])
def test_each_sender_is_read_in_its_own_way(port: int, intake: ScriptedIntake, record: dict[str, Any]) -> None:
    assert post(port, record).json() == {"outcomes": ["matched"]}
    (event,) = intake.items
    assert isinstance(event, Event)
    assert (event.type, event.subject, event.source) == ("s3:ObjectCreated:Put", "churn/a b+c 100%.csv", "lake")
    assert {name: event.data[name] for name in ("bucket", "size", "version")} == {
        "bucket": "features",
        "size": 1024,
        "version": "",
    }
    assert event.time == pytest.approx(1772332200.123, abs=0.001)


@pytest.mark.parametrize("port", [{"key_encoding": "form"}], indirect=True)
def test_a_ceph_that_encodes_its_keys_can_be_told(port: int, intake: ScriptedIntake) -> None:
    record = {**CEPH, "s3": {**CEPH["s3"], "object": {**CEPH["s3"]["object"], "key": "churn/a+b%2Bc.csv"}}}  # type: ignore[dict-item]
    post(port, record)
    (event,) = intake.items
    assert isinstance(event, Event)
    assert event.subject == "churn/a b+c.csv"


def test_a_bad_record_spoils_no_other(port: int, intake: ScriptedIntake) -> None:
    bad = {**CEPH, "eventVersion": "3.0"}
    assert post(port, bad, MINIO).json()["outcomes"] == ["dead_lettered", "matched"]
    assert [type(item) for item in intake.items] == [Poison, Event]


def test_nobody_without_the_token_is_let_in(port: int, intake: ScriptedIntake) -> None:
    answer = post(port, CEPH, token="another")
    assert (answer.status_code, intake.items) == (401, [])


@pytest.mark.parametrize(
    ("port", "tracked"),
    [
        pytest.param({}, False, id="without a sweep"),
        pytest.param({"sweep": "1h", "buckets": [{"name": "features"}]}, True, id="with one"),
    ],
    indirect=["port"],
)
def test_objects_are_followed_where_listings_tell_of_them_too(port: int, intake: ScriptedIntake, tracked: bool) -> None:
    post(port, CEPH)
    assert [batch.tracked for batch in intake.batches] == [tracked]
