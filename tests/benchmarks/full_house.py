"""A daemon that has run for a month: 10,000 rules of three triggers, 1,000,000 events, 50,000 runs."""

from __future__ import annotations

import http.client
import random
import sqlite3
import sys
import time
from typing import TYPE_CHECKING, Any

import orjson
from ulid import ULID

from tests.benchmarks import timed_store
from tests.benchmarks.daemon import HOOK, Daemon
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

RULES, EVENTS, RUNS, KEYS, VALUES = 10_000, 1_000_000, 50_000, 5000, 100_000
MONTH = 30 * 86400.0
EACH_KEY, DRIFT, BUSY = "each-model", "drift", "rule-00007"
"""A rule with all keys, one with a value in every tenth event, and one with a tenth of all runs."""
SOURCES: Mapping[str, Any] = {
    "push": {"type": "webhook", "path": HOOK, "format": "cloudevents"},
    "psi": {"type": "webhook", "path": "/hooks/psi", "format": "cloudevents"},
}
BUDGETS: Mapping[str, Any] = {"shared": {"runs": 10_000, "per": "30d"}}
SPECIAL = (EACH_KEY, DRIFT)
_EVENTS_OF_RULE, _FIRST = 100, 1_000_000
_BATCH = 500


def rules() -> list[dict[str, Any]]:
    return [_for_each(), _drift(), *map(_rule, range(RULES - len(SPECIAL)))]


def _submit() -> dict[str, Any]:
    return {"workflow_template": "waits"}


def _rule(number: int) -> dict[str, Any]:
    data = {"source": "push", "match": {"model": f"m-{number}"}, "batch": {"at_least": {"events": _EVENTS_OF_RULE}}}
    return {
        "name": f"rule-{number:05d}",
        "labels": {"team": f"team-{number % 20}"},
        "triggers": {
            "nightly": {"schedule": {"cron": f"{number % 60} {number % 24} {'*' if number % 10 == 0 else '1'} * *"}},
            "new": {"data": {**data, "where": "event.data.size > 10"}},
            "old": {"freshness": {"max_age": "7d"}},
        },
        "limits": {"budget": "shared" if number % 100 == 0 else {"runs": 10_000, "per": "30d"}},
        "mode": "shadow" if number % 50 == 1 else "active",
        "submit": _submit(),
    }


def _for_each() -> dict[str, Any]:
    return {
        "name": EACH_KEY,
        "for_each": {"by": {"new": "event.data.model"}, "max_keys": 10 * KEYS},
        "triggers": {
            "new": {"data": {"source": "push", "match": {"kind": "key"}, "batch": {"at_least": {"events": 1000}}}},
            "nightly": {"schedule": {"cron": "0 3 1 1 *"}},
            "old": {"freshness": {"max_age": "60d"}},
        },
        "submit": _submit(),
    }


def _drift() -> dict[str, Any]:
    return {
        "name": DRIFT,
        "triggers": {
            "drift": {"metric": {"source": "psi", "match": {"kind": "psi"}, "above": 0.9}},
            "new": {"data": {"source": "push", "match": {"model": "none"}, "batch": {"at_least": {"events": 1000}}}},
            "nightly": {"schedule": {"cron": "0 3 1 1 *"}},
        },
        "submit": _submit(),
    }


class FullHouse(Daemon):
    """With `timed`, its store is timed into `holds`; see `timed_store`."""

    timed = False
    starts_within = stops_within = 300.0

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "", rules(), SOURCES)
        file = folder / "rules.yaml"
        file.write_bytes(orjson.dumps({**orjson.loads(file.read_bytes()), "budgets": BUDGETS}))

    @property
    def holds(self) -> Path:
        return self.folder / "holds"

    @property
    def command(self) -> list[str]:
        if not self.timed:
            return super().command
        return [sys.executable, "-m", timed_store.__name__, str(self.settings), str(self.holds)]

    def post(self, path: str, body: object) -> Any:
        """The API's response."""
        return orjson.loads(_post(self, path, orjson.dumps(body), "application/json"))

    def furnish(self) -> None:
        """Start it for one run, fill a month of history behind that by SQL, and send keys and values."""
        self.begin()
        self.post(f"/api/v1/rules/{BUSY}/trigger", {})
        until(lambda: self.get(f"/api/v1/runs?rule={BUSY}")["items"][0]["ended_at"], "the run has ended", 60)
        self.stop()
        _fill(self.store)
        self.begin()
        _send(self, HOOK, ({"kind": "key", "model": f"model-{n:05d}"} for n in range(KEYS)))
        _send(self, "/hooks/psi", ({"kind": "psi", "value": 0.1 + n / 1000} for n in range(_BATCH)))
        self.stop()


def _send(daemon: Daemon, path: str, data: Iterator[dict[str, Any]]) -> None:
    events = [
        {"specversion": "1.0", "id": f"{path}-{n}", "source": "bench", "type": "t", "data": item}
        for n, item in enumerate(data)
    ]
    for at in range(0, len(events), _BATCH):
        _post(daemon, path, orjson.dumps(events[at : at + _BATCH]), "application/cloudevents-batch+json")


def _post(daemon: Daemon, path: str, body: bytes, kind: str) -> bytes:
    conn = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=60)
    conn.request("POST", path, body, {"content-type": kind})
    answer = conn.getresponse()
    text = answer.read()
    conn.close()
    if answer.status >= 300:
        raise RuntimeError(f"{path} answers {answer.status}: {text[:500]!r}")
    return text


def _fill(path: Path) -> None:
    conn = sqlite3.connect(path)
    with conn:
        now = time.time()
        for table, column in (("journal", "at"), ("events", "at"), ("decisions", "first_at"), ("decisions", "last_at")):
            conn.execute(f"UPDATE {table} SET {column} = {column} - ?", [MONTH * 1.01])  # before what is filled in
        _fill_events(conn, now)
        _fill_runs(conn, now)
    conn.close()


def _fill_events(conn: sqlite3.Connection, now: float) -> None:
    """Add events at equal distances: one in ten is a value, two in a hundred match a rule."""
    (index,) = conn.execute("SELECT sql FROM sqlite_master WHERE name = 'events_source_id'").fetchone()
    conn.execute("DROP INDEX events_source_id")
    conn.execute(
        f"""WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c WHERE n < {EVENTS - 1})
        INSERT INTO events SELECT {_FIRST} + n, :now - :month * ({EVENTS} - n) / {EVENTS},
        CASE n % 10 WHEN 0 THEN 'psi' ELSE 'push' END, 'id-' || n, 't', :now - :month * ({EVENTS} - n) / {EVENTS},
        'subject-' || (n % 1000),
        CASE n % 10 WHEN 0 THEN '{{"kind": "psi", "value": 0.' || (10 + n / 10 % 70) || '}}'
        ELSE
        '{{"model": "m-' || (n % 9990) || '", "size": ' || (n % 50) || ', "text": "' || hex(zeroblob(40)) || '"}}' END,
        '{{}}', CASE WHEN n % 10 = 0 OR n % 100 < 3 THEN 'matched' ELSE 'ignored' END,
        CASE WHEN n % 10 = 0 THEN '[["{DRIFT}",""]]'
        WHEN n % 100 < 3 THEN '[["rule-' || substr('0000' || (n % 9990), -5) || '",""]]' ELSE '[]' END FROM c""",
        {"now": now, "month": MONTH},
    )
    conn.execute(index)


def _fill_runs(conn: sqlite3.Connection, now: float) -> None:
    """Copy the run, with decisions to fire and to hold. Every tenth is of `BUSY`, one in twenty has failed."""
    columns = [row[1] for row in conn.execute("PRAGMA table_info(runs)")]
    some = random.Random(1)
    begin = now - MONTH
    conn.execute("CREATE TEMP TABLE made (id TEXT, rule TEXT, phase TEXT, at REAL, n INTEGER)")
    conn.executemany(
        "INSERT INTO made VALUES (?, ?, ?, ?, ?)",
        (
            (
                str(ULID.from_timestamp(at := begin + MONTH * n / RUNS)),
                BUSY if n % 10 == 0 else f"rule-{some.randrange(RULES - len(SPECIAL)):05d}",
                "FAILED" if n % 20 == 3 else "SUCCEEDED",
                at,
                n,
            )
            for n in range(RUNS)
        ),
    )
    others = {"id": "m.id", "rule": "m.rule", "phase": "m.phase", "chain": "m.id", "workflow": "'w-' || m.n"}
    others |= dict.fromkeys(("created_at", "admitted_at", "submitted_at", "started_at"), "m.at")
    others |= {"ended_at": "m.at + 60", "uid": "'uid-' || m.n"}
    values = ", ".join(others.get(name, f'r."{name}"') for name in columns)
    conn.execute(f"INSERT INTO runs SELECT {values} FROM made m, (SELECT * FROM runs LIMIT 1) r")
    (last,) = conn.execute("SELECT max(id) FROM decisions").fetchone()
    conn.execute(
        """INSERT INTO decisions SELECT :last + 2 * n + hold, rule, '', CASE hold WHEN 0 THEN 'fire' ELSE 'hold' END,
        CASE hold WHEN 0 THEN 'schedule' ELSE 'waiting' END, '', NULL, CASE hold WHEN 0 THEN id END,
        at + hold, at + hold, 1, :first + n * 20 FROM made, (SELECT 0 AS hold UNION SELECT 1)""",
        {"last": last + 1, "first": _FIRST},
    )
