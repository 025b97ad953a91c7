"""A store in memory with a short history: one rule with keys, with runs, events, decisions, slots and dead letters."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, TypeVar

import orjson
from sqlalchemy import create_engine, insert
from sqlalchemy.pool import StaticPool

from retrainer.store import tables as t

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Table

T = TypeVar("T")
NOW = 1_764_000_000.0
RUN = "01KAV0000000000000000000R{}"
JSON = ("data", "attributes", "rules", "submit", "parameters", "labels", "window", "taken", "outputs", "resources")


class Memory:
    """One connection with one reader or writer at a time, as in the real store."""

    def __init__(self) -> None:
        self._engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
        self._connection = self._engine.connect()
        self._lock = threading.RLock()
        t.metadata.create_all(self._connection)

    def read(self, fn: Callable[[Connection], T]) -> T:
        with self._lock:
            return fn(self._connection)

    def put(self, table: Table, *rows: dict[str, Any]) -> None:
        def write(conn: Connection) -> None:
            conn.execute(insert(table), [encoded(row) for row in rows])
            conn.commit()

        self.read(write)

    def close(self) -> None:
        self._connection.close()
        self._engine.dispose()


def encoded(row: dict[str, Any]) -> dict[str, Any]:
    return {name: orjson.dumps(value).decode() if name in JSON else value for name, value in row.items()}


def event(seq: int, key: str = "de", **more: Any) -> dict[str, Any]:
    return {
        "seq": seq,
        "at": NOW + seq,
        "source": "lake",
        "id": f"object-{seq}",
        "type": "s3:ObjectCreated:Put",
        "time": NOW + seq - 0.5,
        "subject": f"churn/{seq}.parquet",
        "data": {"key": f"churn/{seq}.parquet", "size": 100 * seq},
        "attributes": {},
        "outcome": "matched",
        "rules": [["churn", key]],
        **more,
    }


def run(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": RUN.format(number),
        "rule": "churn",
        "key": "de",
        "phase": "SUCCEEDED",
        "workflow": f"churn-{number}",
        "namespace": "ml",
        "submit": {"workflow_template": "churn-train"},
        "parameters": {"since": "2025-11-24"},
        "labels": {"team": "growth"},
        "trigger": "new_data",
        "reason": "batch_complete",
        "revision": "abc",
        "chain": RUN.format(number),
        "attempt": 1,
        "retry_of": None,
        "scheduled_at": None,
        "window": {},
        "taken": {},
        "pool": "gpu",
        "priority": 0,
        "created_at": NOW + number,
        "not_before": 0.0,
        "admitted_at": NOW + number,
        "uid": f"uid-{number}",
        "submit_attempts": 1,
        "lease_until": None,
        "submitted_at": NOW + number + 1,
        "started_at": NOW + number + 2,
        "ended_at": NOW + number + 62,
        "message": "",
        "progress": "1/1",
        "outputs": {"auc": 0.91},
        "resources": {"cpu": 42.0},
        "stop_requested": None,
        "released": True,
        **more,
    }


def decision(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "rule": "churn",
        "key": "de",
        "decision": "hold",
        "reason": "cooldown",
        "detail": "6h after the last run",
        "until": NOW + 21600,
        "run": None,
        "first_at": NOW,
        "last_at": NOW + number,
        "count": 3,
        "seq": number,
        **more,
    }


def slot(number: int, **more: Any) -> dict[str, Any]:
    at = NOW + 3600 * number
    return {
        "rule": "churn",
        "key": "de",
        "trigger": "nightly",
        "slot": at,
        "until": at,
        "count": 1,
        "outcome": "fired",
        "reason": "schedule",
        "run": RUN.format(1),
        "at": at,
        **more,
    }


def dead_letter(number: int, **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "at": NOW,
        "source": "push",
        "event": f"event-{number}",
        "reason": "unreadable",
        "error": "not JSON: unexpected character",
        "payload": b"{broken",
        "rule": "",
        **more,
    }


def state(number: int, key: str, **more: Any) -> dict[str, Any]:
    encoding = {"rule": "churn", "key": key, "version": 1, "revision": "abc", "state": "{}", "wake_at": NOW}
    return {"id": number, **encoding, "touched_at": NOW, **more}


def history() -> Memory:
    memory = Memory()
    memory.put(t.states, state(1, "de"), state(2, "fr"))
    memory.put(t.events, *(event(n) for n in range(1, 8)), event(8, "fr"), event(9, rules=[], outcome="filtered"))
    memory.put(t.inputs, *({"state": 1, "seq": n} for n in range(1, 8)), {"state": 2, "seq": 8})
    window = {"events": 5, "bytes": 2000, "rows": 0, "start": NOW, "end": NOW + 6, "ranges": [[1, 3], [6, 8]]}
    memory.put(
        t.runs,
        run(1, window=window),
        run(2, phase="FAILED", message="exit code 1", outputs={}),
        run(3, key="fr", phase="RUNNING", ended_at=None, progress="1/3"),
    )
    memory.put(t.decisions, *(decision(n) for n in range(1, 4)), decision(4, decision="fire", reason="batch_complete"))
    memory.put(t.slots, *(slot(n) for n in range(1, 4)), slot(3, key="fr", outcome="missed", reason="missed", run=None))
    memory.put(t.dead_letters, dead_letter(1), dead_letter(2, payload=b"\xff\x00", reason="raised", rule="churn"))
    return memory
