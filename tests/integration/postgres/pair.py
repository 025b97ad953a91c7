"""Two daemons that share a store, each in its own process, and a client that posts to both."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import httpx

from tests.houses.daemon_in_process import template
from tests.integration.s3.daemon import Daemon
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.postgres.server import Postgres

BATCH = 25
"""Events that start a run."""
SOURCES: dict[str, Any] = {"push": {"type": "webhook", "path": "/hooks/push"}}
RULES: list[dict[str, Any]] = [
    {
        "name": "every",
        "triggers": {"new": {"data": {"source": "push", "batch": {"at_least": {"events": BATCH}}}}},
        # More than a backlog starts at once: events that wait for a run to end would make a window larger than a batch.
        "limits": {"max_active": 100, "overlap": "allow_all"},
        "submit": {"workflow_template": "train"},
    },
]


# Needs neither daemon: whatever it would read from one is gone when that daemon is killed.
TEMPLATE = template("train", "true")


class Pair:
    """Each daemon has a folder. Both share the folder of runs. The first may reach the store through another port."""

    def __init__(
        self,
        postgres: Postgres,
        database: str,
        folder: Path,
        sources: dict[str, Any] = SOURCES,
        rules: list[dict[str, Any]] = RULES,
        first_port: int | None = None,
    ) -> None:
        self.postgres, self.database = postgres, database
        self.daemons: list[Daemon] = []
        self.posters: list[Poster] = []
        engine = {"type": "local", "templates": "templates", "runs": str(folder / "runs")}
        for name, port in (("a", first_port), ("b", None)):
            store = {"url": postgres.url(database, port), "password": {"from_env": "PGPASSWORD"}}
            (folder / name).mkdir()
            self.daemons.append(Daemon(folder / name, "", sources, rules, store=store, engine=engine))
            (folder / name / "templates/train.yaml").write_text(TEMPLATE)

    @property
    def leaders(self) -> list[Daemon]:
        return [daemon for daemon in self.daemons if daemon.exit_code is None and leads(daemon)]

    @property
    def epoch(self) -> int:
        """How often a daemon became leader."""
        return int(self.query("SELECT epoch FROM leader")[0][0])

    def query(self, sql: Any) -> list[Any]:
        return self.postgres.query(self.database, sql)

    def counted(self) -> list[str]:
        """Ids of the events in the order in which they were counted."""
        joined = "inputs JOIN states ON states.id = inputs.state JOIN events ON events.seq = inputs.seq"
        return [row[0].rsplit(" ", 1)[-1] for row in self.query(f"SELECT events.id FROM {joined} ORDER BY inputs.seq")]

    def close(self) -> None:
        for poster in self.posters:
            poster.stop()
        for daemon in self.daemons:
            daemon.close()


def started(pair: Pair) -> Iterator[Pair]:
    """For fixtures: start both daemons, the first one first; close the pair after the test."""
    for daemon in pair.daemons:
        daemon.start()
    yield pair
    pair.close()


def leads(daemon: Daemon) -> bool:
    try:
        return daemon.metric("retrainer_leader") == 1.0
    except httpx.TransportError:
        return False


class Poster:
    """Posts one event at a time, to the daemons in turn, and repeats each until one daemon accepts it."""

    def __init__(self, pair: Pair) -> None:
        self.accepted: list[str] = []
        self._pair, self._turn = pair, 0
        pair.posters.append(self)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._post_forever)
        self._thread.start()

    def _post_forever(self) -> None:
        number = 0
        while not self._stop.wait(0.05):
            number += 1
            while not self._post(f"e{number}") and not self._stop.wait(0.02):
                pass

    def _post(self, name: str) -> bool:
        self._turn += 1
        for n in range(len(self._pair.daemons)):
            daemon = self._pair.daemons[(self._turn + n) % len(self._pair.daemons)]
            headers = {"Idempotency-Key": name}
            try:
                answer = httpx.post(
                    f"{daemon.url}/hooks/push", json={"n": name}, headers=headers, timeout=2, trust_env=False
                )
            except httpx.HTTPError:
                continue
            if answer.status_code == 202:
                self.accepted.append(name)
                return True
            assert answer.status_code == 503, answer.text
            assert "Retry-After" in answer.headers
        return False

    def more(self, count: int, timeout: float = 30.0) -> None:
        """Wait until ``count`` more events are accepted."""
        wanted = len(self.accepted) + count
        until(lambda: len(self.accepted) >= wanted, f"{count} more events are accepted", timeout)

    def stop(self) -> list[str]:
        """Stop posting; return the ids of all accepted events, in order."""
        self._stop.set()
        self._thread.join()
        return self.accepted


def settled(pair: Pair, accepted: list[str]) -> None:
    """Assert that each accepted event counts once, and that each run of them ends once."""
    until(lambda: len(pair.counted()) == len(accepted), "all are counted")
    assert sorted(pair.counted()) == sorted(accepted)
    assert len(set(accepted)) == len(accepted)
    wanted = len(accepted) // BATCH
    done = "SELECT count(*) FROM runs WHERE phase = 'SUCCEEDED'"
    until(lambda: pair.query(done)[0][0] == wanted, "all runs have succeeded", 120)
    assert pair.query("SELECT count(*) FROM runs")[0][0] == wanted
    windows = pair.query("SELECT (\"window\"::json->>'events')::int FROM runs")
    assert {row[0] for row in windows} <= {BATCH}
