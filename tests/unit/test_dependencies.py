"""Each unavailable server is named with the start and reason of the outage, and does not block other events."""

from __future__ import annotations

import contextlib
import sqlite3
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from click.testing import CliRunner

from retrainer.cli.main import main
from retrainer.daemon.dependencies import Dependencies, Trouble, of_source, of_threads
from retrainer.simulate.world import ManualClock
from retrainer.util.stacks import PARTIES
from tests.houses.daemon_in_process import DaemonInProcess
from tests.unit.kubeconfig import kubeconfig
from tests.unit.test_app import Daemon
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

KAFKA, STORE = Trouble("source clicks", "kafka", "no broker answers"), Trouble("engine", "store", "disk full")


def source(error: str | None, halted: Mapping[str, str] = {}, **more: Any) -> Any:
    return SimpleNamespace(last_error=error, halted=halted, **more)


@pytest.mark.parametrize(
    ("kind", "given", "expected"),
    [
        pytest.param("kafka", source(None), [], id="a source that does its work"),
        pytest.param("kafka", source("no broker"), [("kafka", "no broker")], id="a broker that is away"),
        pytest.param("prometheus", source("refused"), [("prometheus", "refused")], id="a Prometheus that is away"),
        pytest.param("directory", source("gone"), [("folder", "gone")], id="a folder that is gone"),
        pytest.param(
            "s3",
            source("x; y", errors={"queue": "x", "bucket": "y"}),
            [("queue", "x"), ("bucket", "y")],
            id="a queue and a bucket, each by itself",
        ),
        pytest.param("s3", source("y", errors={"queue": "", "bucket": "y"}), [("bucket", "y")], id="only the bucket"),
        pytest.param(
            "kafka",
            source("1 partition halted; t/0: cut", {"t/0": "cut"}),
            [("decision", "t/0: cut")],
            id="a halted partition waits for a person, not for the broker",
        ),
        pytest.param(
            "kafka",
            source("no broker", {"t/0": "cut"}),
            [("kafka", "no broker"), ("decision", "t/0: cut")],
            id="a halted partition and a broker that is away",
        ),
    ],
)
def test_what_a_source_waits_for(kind: str, given: Any, expected: list[tuple[str, str]]) -> None:
    found = list(of_source("clicks", SimpleNamespace(type=kind), given))  # type: ignore[arg-type]
    assert {one.component for one in found} <= {"source clicks"}
    assert [(one.dependency, one.error) for one in found] == expected


def test_every_party_that_a_thread_may_wait_for_has_a_name() -> None:
    parties = {*PARTIES.values(), "the store"}
    assert len(list(of_threads({f"t{n}": party for n, party in enumerate(sorted(parties))}))) == len(parties)


def test_a_wait_lasts_from_when_it_was_first_seen_until_it_is_over() -> None:
    clock, troubles = ManualClock(1000.0), [KAFKA]
    dependencies = Dependencies(lambda: troubles, clock.now)
    assert [wait.in_words for wait in dependencies.look()] == [
        "source clicks waits for a Kafka broker since 1970-01-01T00:16:40.000Z"
    ]
    clock.time = 1060.0
    troubles.insert(0, Trouble("workflows", "api_server", "connection refused"))
    assert [(wait.component, wait.since) for wait in dependencies.look()] == [
        ("source clicks", 1000.0),
        ("workflows", 1060.0),
    ]
    troubles.remove(KAFKA)
    assert [wait.component for wait in dependencies.look()] == ["workflows"]
    clock.time = 1120.0
    troubles.append(KAFKA)
    assert [wait.since for wait in dependencies.look()] == [1060.0, 1120.0], "it was well in between"


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        pytest.param([], "store", id="began while the store took nothing: nobody can hand anything over"),
        pytest.param([KAFKA], "kafka", id="was there before the store's"),
    ],
)
def test_a_source_that_cannot_hand_over_waits_for_the_store(before: list[Trouble], expected: str) -> None:
    troubles = list(before)
    dependencies = Dependencies(lambda: troubles, lambda: 0.0)
    dependencies.look()
    troubles[:] = [STORE, KAFKA]
    assert {wait.component: wait.dependency for wait in dependencies.look()} == {
        "engine": "store",
        "source clicks": expected,
    }


# -- a daemon whose servers are all unavailable -----------------------------------------------------------------------

CLOSED = 9
"""A port of this machine without a listener."""
RULES = f"""
version: 1
sources:
  push: {{type: webhook, path: /hooks/push}}
  clicks: {{type: kafka, topics: [clicks], group_id: g, bootstrap_servers: ["127.0.0.1:{CLOSED}"]}}
  drift: {{type: prometheus, url: "http://127.0.0.1:{CLOSED}", polling_interval: 1s}}
  landing: {{type: directory, path: ../gone, polling_interval: 100ms}}
  lake:
    type: s3
    via: {{sqs: {{queue_url: "http://127.0.0.1:{CLOSED}/1/lake", endpoint_url: "http://127.0.0.1:{CLOSED}"}}}}
    endpoint_url: "http://127.0.0.1:{CLOSED}"
    buckets: [{{name: lake}}]
    sweep: 1m
rules:
  - name: one
    triggers:
      d: {{data: {{source: push, batch: {{at_least: {{events: 100}}}}}}}}
      m: {{metric: {{source: drift, expr: psi, above: 1}}}}
    submit: {{workflow_template: t}}
"""
SETTINGS = """
version: 1
rules: [rules]
engine: {{type: argo, namespaces: [ml], kubeconfig: {kubeconfig}, request_timeout: 1s}}
store: {{path: store.db}}
http: {{port: 0}}
"""
ALONE = {
    ("source clicks", "kafka"),
    ("source drift", "prometheus"),
    ("source lake", "queue"),
    ("source lake", "bucket"),
    ("source landing", "folder"),
    ("workflows", "api_server"),
}


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Daemon]:
    daemon = Daemon(tmp_path)
    (tmp_path / "retrainer.yaml").write_text(SETTINGS.format(kubeconfig=kubeconfig(tmp_path, CLOSED)))
    daemon.rules("rules", RULES)
    secrets = dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "testing-secret")
    daemon.start(**secrets, AWS_DEFAULT_REGION="eu-central-1")
    yield daemon
    daemon.close()


def waits(house: DaemonInProcess | Daemon) -> dict[tuple[str, str], dict[str, Any]]:
    told = house.http.get("/api/v1/status").json()["waiting"]
    return {(one["component"], one["dependency"]): one for one in told if not one["component"].startswith("thread ")}


def test_every_server_that_is_away_is_named_and_events_are_taken_in_all_the_same(alone: Daemon) -> None:
    found = until(lambda: (seen := waits(alone)).keys() >= ALONE and seen, "all that wait are named", 120)
    assert found.keys() == ALONE
    assert all(one["error"] for one in found.values())
    ready = alone.http.get("/readyz")
    assert (ready.status_code, ready.json()["reasons"]) == (200, [])
    told = ready.json()["waiting"]
    for one in found.values():
        assert any(line.startswith(f"{one['component']} waits for ") and one["since"] in line for line in told), told
    assert alone.http.post("/hooks/push", json={"id": "a"}).status_code == 202
    scraped = alone.http.get("/metrics").text
    for component, dependency in ALONE:
        series = f'retrainer_waiting_since_timestamp_seconds{{component="{component}",dependency="{dependency}"}} '
        assert series in scraped
    result = CliRunner().invoke(main, ["--url", str(alone.http.base_url), "status"])
    assert result.exit_code == 0, "it is ready"
    printed = result.stdout
    for (component, dependency), one in found.items():
        assert any(component in line and dependency in line for line in printed.splitlines()), printed
        assert one["error"] in printed


def test_a_store_that_takes_no_writes_is_named_and_makes_it_unready(tmp_path: Path) -> None:
    rules = "\n".join(line for line in RULES.splitlines() if "m: {metric" not in line)
    begin, end = rules.index("  clicks:"), rules.index("rules:")
    house = DaemonInProcess(tmp_path, rules[:begin] + rules[end:])
    other = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        with contextlib.suppress(httpx.ReadTimeout):
            house.http.post("/hooks/push", json={"id": "a"}, timeout=0.2)
        ready = until(lambda: (seen := house.http.get("/readyz")).status_code == 503 and seen, "it is not ready")
        assert any(line.startswith("engine waits for the store since ") for line in ready.json()["waiting"])
        assert "database is locked" in house.ask("status", code=1).stdout
        other.execute("ROLLBACK")
        until(lambda: house.http.get("/readyz").status_code == 200, "it goes on by itself")
        assert waits(house) == {}
    finally:
        other.close()
        house.close()
