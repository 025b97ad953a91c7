"""Where sources run: partitioned sources on every replica, all others on the leader."""

from __future__ import annotations

from pkgutil import resolve_name

import pytest
from pydantic import TypeAdapter

from retrainer.config import models
from retrainer.sources.registry import KINDS, SourceKind, SourceRequest, threaded

TOPIC = {"bootstrap_servers": ["k:9092"], "topics": ["t"], "group_id": "g"}
BUCKETS = [{"name": "lake"}]
QUEUE = {"sqs": {"queue_url": "http://127.0.0.1:1/q"}}


def source(**config: object) -> models.Source:
    made: models.Source = TypeAdapter(models.Source).validate_python(config)
    return made


@pytest.mark.parametrize(
    ("config", "shared", "sweeps"),
    [
        pytest.param(source(type="kafka", **TOPIC), True, False, id="a topic"),
        pytest.param(source(type="s3", via=QUEUE), True, False, id="a queue"),
        pytest.param(source(type="s3", via=QUEUE, buckets=BUCKETS, sweep="1h"), True, True, id="a queue, and a sweep"),
        pytest.param(
            source(type="s3", via={"webhook": {"path": "/hooks/s3"}}, buckets=BUCKETS, sweep="1h"),
            False,
            True,
            id="a webhook, and a sweep",
        ),
        pytest.param(source(type="prometheus", url="http://p:9090"), False, False, id="polling"),
        pytest.param(source(type="directory", path="/data"), False, False, id="a folder"),
    ],
)
def test_what_can_be_shared_runs_on_every_replica_and_buckets_are_listed_by_one(
    config: models.Source, shared: bool, sweeps: bool
) -> None:
    sources = {"one": config}
    assert threaded(sources, leads=True) == {"one": SourceRequest(config, sweeps)}  # type: ignore[arg-type]
    assert threaded(sources, leads=False) == ({"one": SourceRequest(config, False)} if shared else {})  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.create)
def test_the_class_of_each_kind_is_where_the_registry_says(kind: SourceKind) -> None:
    assert callable(resolve_name(kind.create))
