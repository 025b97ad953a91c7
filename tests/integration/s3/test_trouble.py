"""The source reports what prevents it from working, and resumes once that is over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from tests.integration.s3.cloud import Cloud
from tests.integration.s3.conftest import Moto, free_port
from tests.integration.s3.test_sqs import notification, record, via
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.s3.lake_engine import LakeEngine


@pytest.fixture
def own() -> Iterator[Moto]:
    """A server that the test may stop."""
    server = Moto(free_port())
    yield server
    server.stop()


@pytest.fixture
def own_cloud(own: Moto, credentials: None) -> Iterator[Cloud]:
    cloud = Cloud(own.url, "own")
    yield cloud
    cloud.close()


def test_a_queue_that_is_not_there_yet(cloud: Cloud, house: LakeEngine) -> None:
    url = f"{cloud.url}/123456789012/{cloud.name}"
    source = house.lake(via=via(cloud, url))
    until(lambda: source.last_error, "it says so")
    assert f"queue {url}: does not exist (" in str(source.last_error)
    assert source.poll_errors
    cloud.send(cloud.queue(), notification(record("a")))
    until(lambda: house.subjects() == ["a"], "it goes on")
    until(lambda: source.last_error is None, "all is well")


def test_a_server_that_is_down_and_comes_back(own: Moto, own_cloud: Cloud, house: LakeEngine) -> None:
    queue = own_cloud.queue()
    own_cloud.send(queue, notification(record("before")))
    source = house.lake(via=via(own_cloud, queue))
    until(lambda: house.subjects() == ["before"], "it works")
    own.stop()
    until(lambda: "Could not connect to the endpoint" in str(source.last_error), "it says so")
    own.start()
    own_cloud.send(own_cloud.queue(), notification(record("before")), notification(record("after")))
    until(lambda: house.subjects() == ["before", "after"], "it goes on")
    until(lambda: source.last_error is None, "all is well")


def test_a_server_that_goes_before_the_delete(own: Moto, own_cloud: Cloud, house: LakeEngine) -> None:
    """Stored events stay stored. The failed delete is reported and retried."""
    queue = own_cloud.queue()
    source = house.lake(via=via(own_cloud, queue))
    with house.busy():
        own_cloud.send(queue, notification(record("a")))
        until(lambda: own_cloud.in_hand(queue) == 1, "received")
        own.stop()
    until(lambda: house.subjects() == ["a"], "counted")
    until(lambda: source.last_error, "it says so")
    own.start()
    own_cloud.send(own_cloud.queue(), notification(record("a")), notification(record("b")))
    until(lambda: house.outcomes == {"matched": 2, "duplicate": 1}, "a comes again in vain")
    until(lambda: own_cloud.left(queue) == 0, "all deleted")
    until(lambda: source.last_error is None, "all is well")


def test_credentials_that_the_server_does_not_take(own: Moto, own_cloud: Cloud, house: LakeEngine) -> None:
    queue = own_cloud.queue()
    httpx.post(f"{own.url}/moto-api/reset-auth", content="0", trust_env=False).raise_for_status()
    source = house.lake(via=via(own_cloud, queue))
    until(lambda: source.last_error, "it says so")
    assert f"queue {queue}: access denied (" in str(source.last_error)
    assert "testing-secret" not in str(source.last_error)


def test_no_credentials_at_all(cloud: Cloud, house: LakeEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    queue = cloud.queue()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    source = house.lake(via=via(cloud, queue))
    until(lambda: source.last_error, "it says so")
    assert source.last_error == (
        "the queue: no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the pod a role"
    )
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing-secret")
    cloud.send(queue, notification(record("a")))
    until(lambda: house.subjects() == ["a"], "it goes on without a restart")
