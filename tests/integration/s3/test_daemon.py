"""The daemon as a process: killed at each point of the path, frozen, told to replay a bucket, and with manifests."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.s3.daemon import Daemon
from tests.integration.s3.lake_engine import CREATED
from tests.integration.s3.test_sqs import KEYS, via
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.s3.cloud import Cloud


def rule(name: str, events: int) -> dict[str, Any]:
    """A rule that takes ``events`` objects into a run, whose workflow reads the manifest."""
    data = {"source": "lake", "match": {"event.type": "s3:ObjectCreated:*"}, "batch": {"at_least": {"events": events}}}
    submit = {
        "workflow_template": "train",
        "parameters": {"manifest": "${run.manifest_uri}"},
        "outputs": {"keys": {"parameter": "keys", "type": "string"}},
    }
    return {"name": name, "triggers": {"new": {"data": data}}, "submit": submit}


class Site:
    """A bucket, its queue, and a daemon that reads the queue."""

    def __init__(self, cloud: Cloud, folder: Path) -> None:
        self.cloud, self._folder = cloud, folder
        self.bucket, self.queue = cloud.bucket(), cloud.queue()
        self.daemon: Daemon

    def made(self, rules: list[dict[str, Any]], source: dict[str, Any] | None = None, **settings: Any) -> Daemon:
        lake = {
            "type": "s3",
            "via": via(self.cloud, self.queue, visibility_timeout="2s"),
            "endpoint_url": self.cloud.url,
            "buckets": [{"name": self.bucket}],
        }
        self.daemon = Daemon(self._folder, self.cloud.url, {"lake": lake | (source or {})}, rules, **settings)
        return self.daemon

    def there(self) -> list[str]:
        """The expected state: the objects that were put and still exist."""
        return sorted(one["Key"] for one in self.cloud.s3.list_objects_v2(Bucket=self.bucket)["Contents"])


@pytest.fixture
def site(cloud: Cloud, tmp_path: Path) -> Iterator[Site]:
    site = Site(cloud, tmp_path)
    yield site
    site.daemon.close()


@pytest.mark.parametrize("point", ["before-commit", "after-commit", "after-acknowledge"])
def test_killed_on_the_way_every_object_counts_once(site: Site, point: str) -> None:
    """The crash happens in the middle of 60 messages. The earlier commits are the start and some of the messages."""
    daemon = site.made([rule("train", 60)])
    site.cloud.notify(site.bucket, queue=site.queue)
    site.cloud.put(site.bucket, *(f"k{n:02}" for n in range(60)))
    daemon.start(RETRAINER_CRASH_AT=f"{point}:7")
    assert daemon.died() == -signal.SIGKILL
    assert site.cloud.left(site.queue), "it died on the way"
    daemon.start()
    until(lambda: daemon.items("runs", phase="SUCCEEDED"), "one run of all")
    (run,) = daemon.items("runs")
    assert json.loads(run["outputs"]["keys"]) == site.there()
    until(lambda: site.cloud.left(site.queue) == 0, "all deleted")


def test_frozen_beyond_the_visibility_timeout_every_object_counts_once(site: Site) -> None:
    """Another consumer receives and returns the messages meanwhile. The frozen daemon's receipt handles are void."""
    daemon = site.made([rule("train", 30)])
    daemon.start()
    site.cloud.notify(site.bucket, queue=site.queue)
    site.cloud.put(site.bucket, *(f"k{n:02}" for n in range(10)))
    until(lambda: daemon.metric('retrainer_events_matched_total{source="lake"}') == 10, "the first ten")
    daemon.send(signal.SIGSTOP)
    site.cloud.put(site.bucket, *(f"k{n:02}" for n in range(10, 30)))
    taken = site.cloud.sqs.receive_message(QueueUrl=site.queue, MaxNumberOfMessages=10, WaitTimeSeconds=5)["Messages"]
    for message in taken:
        site.cloud.sqs.change_message_visibility(
            QueueUrl=site.queue, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
        )
    daemon.send(signal.SIGCONT)
    until(lambda: daemon.items("runs", phase="SUCCEEDED"), "one run of all")
    (run,) = daemon.items("runs")
    assert json.loads(run["outputs"]["keys"]) == site.there()
    until(lambda: site.cloud.left(site.queue) == 0, "all deleted")


def test_a_silent_source_is_told_of_and_so_is_that_it_speaks_again(site: Site) -> None:
    daemon = site.made([rule("train", 100)], {"max_silence": "1s"}, reload_interval="200ms")
    daemon.start()
    silent = 'retrainer_source_silent{source="lake"}'
    until(lambda: daemon.metric(silent) == 1, "silent")
    until(lambda: '"event": "source.silent"' in daemon.said(), "said in the log")
    site.cloud.notify(site.bucket, queue=site.queue)

    def speaks() -> bool:
        site.cloud.put(site.bucket, "a")
        site.cloud.s3.delete_object(Bucket=site.bucket, Key="a")
        return '"event": "source.speaks_again"' in daemon.said()

    site.cloud.put(site.bucket, *(f"k{n}" for n in range(5)))
    until(speaks, "it speaks again")
    assert daemon.said().count('"event": "source.silent"') >= 1


def test_a_bucket_is_read_again_for_rules_that_did_not_count_it(site: Site) -> None:
    daemon = site.made([CREATED | {"name": "old"}])
    site.cloud.put(site.bucket, "before-1", "before-2")
    site.cloud.notify(site.bucket, queue=site.queue)
    site.cloud.put(site.bucket, *KEYS)
    daemon.start()
    until(lambda: daemon.metric('retrainer_events_matched_total{source="lake"}') == len(KEYS), "counted")
    rules = json.loads((daemon.folder / "rules.yaml").read_text())
    rules["rules"].append(rule("young", len(KEYS) + 2))
    (daemon.folder / "rules.yaml").write_text(json.dumps(rules))
    until(lambda: len(daemon.items("rules")) == 2, "a rule more")

    def replay(*arguments: str) -> dict[str, int]:
        return json.loads(daemon.cli("replay", "lake", "--from", "1h", "-o", "json", *arguments))["outcomes"]

    wanted = {"matched": len(KEYS) + 2, "duplicate": 0}
    assert wanted.items() <= replay("--rule", "young", "--dry-run").items()
    assert daemon.items("runs") == [], "nothing is stored by that"
    assert wanted.items() <= replay("--rule", "young").items()
    assert {"matched": 0, "duplicate": len(KEYS) + 2}.items() <= replay("--rule", "young").items()
    assert {"matched": 2, "duplicate": len(KEYS)}.items() <= replay("--rule", "old").items()
    until(lambda: daemon.items("runs", phase="SUCCEEDED"), "a run of the young rule")
    (run,) = daemon.items("runs")
    assert json.loads(run["outputs"]["keys"]) == site.there()


def test_a_source_that_is_down_and_up_again_is_shown_so(site: Site) -> None:
    missing = f"{site.queue}-later"
    daemon = site.made([rule("train", 1)], {"via": via(site.cloud, missing), "sweep": "1h"})
    daemon.start()
    up = 'retrainer_source_up{source="lake"}'
    until(lambda: daemon.metric(up) == 0, "down")
    (line,) = json.loads(daemon.cli("sources", "list", "-o", "json"))["items"]
    assert line["up"] is False
    assert line["last_error"].startswith(f"queue {missing}: does not exist (")
    site.cloud.sqs.create_queue(QueueName=f"{site.cloud.name}-later")
    until(lambda: daemon.metric(up) == 1, "up")
    shown = daemon.cli("sources", "show", "lake").replace("\n", " ")
    assert f"{site.bucket}/ is swept for objects that arrived after" in shown


@pytest.mark.parametrize("place", ["api", "volume", "s3"])
def test_the_workflow_reads_what_fed_it(site: Site, tmp_path: Path, place: str) -> None:
    manifests = {
        "api": {"type": "api"},
        "volume": {"type": "volume", "path": str(tmp_path / "manifests"), "uri": f"file://{tmp_path}/manifests"},
        "s3": {"type": "s3", "url": f"s3://{site.cloud.name}-runs/manifests", "endpoint_url": site.cloud.url},
    }
    everybody = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "*"}
    site.cloud.s3.put_bucket_policy(
        Bucket=site.cloud.bucket("runs"), Policy=json.dumps({"Version": "2012-10-17", "Statement": [everybody]})
    )
    daemon = site.made([rule("train", len(KEYS))], manifests=manifests[place])
    site.cloud.notify(site.bucket, queue=site.queue)
    daemon.start()
    site.cloud.put(site.bucket, *KEYS)
    until(lambda: daemon.items("runs", phase="SUCCEEDED"), "the workflow has read it")
    (run,) = daemon.items("runs")
    assert json.loads(run["outputs"]["keys"]) == site.there() == sorted(KEYS)
    inputs = daemon.items(f"runs/{run['id']}/inputs")
    assert sorted(one["subject"] for one in inputs) == sorted(KEYS)
    shown = daemon.cli("runs", "show", run["id"], "--inputs")
    assert all(key.split("/")[-1] in shown for key in KEYS)
