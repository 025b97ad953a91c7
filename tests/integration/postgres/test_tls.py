"""Two replicas over TLS that demand certificates: changes reach the leader, also during a rotation; and traces."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.houses.certificates import Authority, Mount
from tests.houses.collector import Collector
from tests.integration.postgres.pair import BATCH, Pair
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.postgres.server import Postgres
    from tests.integration.s3.daemon import Daemon

NAME = "DNS:retrainer.ml.svc"
SENDER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


@pytest.fixture
def mounts(tmp_path: Path, authority: Authority) -> list[Mount]:
    issued = authority.issue(tmp_path / "first", NAME)
    made = [Mount(tmp_path / name) for name in ("mount-a", "mount-b")]
    for mount in made:
        mount.show(issued)
    return made


@pytest.fixture
def pair(
    postgres: Postgres,
    database: str,
    tmp_path: Path,
    authority: Authority,
    mounts: list[Mount],
    collector: Collector,
) -> Iterator[Pair]:
    made = Pair(postgres, database, tmp_path)
    trusted = authority.trusted(tmp_path / "first")
    trusted.check_hostname = False
    for daemon, mount in zip(made.daemons, mounts, strict=True):
        settings = json.loads(daemon.settings.read_text())
        files = {
            "certificate": "tls.crt",
            "key": "tls.key",
            "client_authorities": "ca.crt",
            "replica_authorities": "ca.crt",
        }
        settings["http"]["tls"] = {name: str(mount.folder / file) for name, file in files.items()}
        settings |= {"reload_interval": "200ms", "tracing": {"endpoint": collector.url}}
        daemon.settings.write_text(json.dumps(settings))
        daemon.start(OTEL_BSP_SCHEDULE_DELAY="100")
        daemon.http = httpx.Client(base_url=daemon.url, verify=trusted, timeout=30, trust_env=False)
    yield made
    made.close()


def pause(daemon: Daemon, note: str) -> Any:
    return daemon.http.post("/api/v1/rules/every/pause", json={"note": note})


def served(daemon: Daemon) -> str:
    return next(line["expires"] for line in reversed(daemon.lines()) if line["event"] == "tls.reloaded")


def test_the_standby_forwards_before_during_and_after_a_rotation(
    pair: Pair, authority: Authority, mounts: list[Mount], tmp_path: Path
) -> None:
    leader, standby = pair.daemons
    assert standby.url.startswith("https://")
    assert pause(standby, "before").is_success
    renewed = authority.issue(tmp_path / "renewed", NAME, days=20)
    for daemon, mount in zip(pair.daemons, mounts, strict=True):
        mount.show(renewed)
        until(lambda daemon=daemon: "tls.reloaded" in daemon.said(), "the renewed certificate is served")  # type: ignore[misc]
        answer = pause(standby, "during")
        assert answer.is_success, answer.text
    assert served(leader) == served(standby)
    assert leader.http.get("/api/v1/rules/every").json()["paused"]


def test_events_of_a_standby_lead_to_the_run_of_the_leader(pair: Pair, collector: Collector) -> None:
    standby = pair.daemons[1]
    for number in range(BATCH):
        headers = {"Idempotency-Key": f"e{number}", "traceparent": SENDER}
        assert standby.http.post("/hooks/push", json={"n": number}, headers=headers).status_code == 202
    until(lambda: collector.named("retrain every"), "the run has ended, and is exported", 60)
    (run,) = collector.named("retrain every")
    assert {link.trace_id.hex() for link in run.links} == {SENDER[3:35]}
    assert len(run.links) == BATCH
    until(lambda: len(collector.named("receive push")) == BATCH, "the standby exports what it has received", 30)
