"""A backlog of a million records in a topic, and one rule that takes them all."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from tests.benchmarks.cluster import TEMPLATE
from tests.benchmarks.daemon import Daemon
from tests.benchmarks.figures import Figure
from tests.benchmarks.load import NAME, kafka_sources
from tests.benchmarks.progress import follow, pace
from tests.benchmarks.records import produce, topic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.benchmarks.progress import Look

RECORDS = 1_000_000
MB = 1.048576
METHOD = (
    f"{RECORDS:,} JSON records of 300 bytes wait in a topic of three partitions on a real broker; one rule batches "
    "them all. The daemon is a process of its own with its defaults, its workflows are processes of this machine. "
)


def million() -> list[Figure]:
    with topic() as name, tempfile.TemporaryDirectory() as folder:
        detail: dict[str, Any] = produce(name, RECORDS)
        with Daemon(Path(folder), "", [_rule()], kafka_sources(name)) as daemon:
            looks = follow(daemon, RECORDS)
            _await_end(daemon)
            daemon.stop()
        found = _recount(daemon.store)
    detail |= pace(looks, RECORDS) | _memory(looks) | found
    return [
        Figure(
            "backlog_resident_memory",
            detail["resident_max_mb"],
            "MB",
            METHOD + "The largest VmRSS of the daemon, looked at four times a second until all was durable.",
            200,
            detail=detail,
        ),
        Figure(
            "backlog_memory_growth",
            detail["resident_last_quarter_mb"] - detail["resident_second_quarter_mb"],
            "MB",
            METHOD + "The median VmRSS of the last quarter of the records less that of the second quarter.",
            10,
        ),
        Figure("backlog_runs", found["runs"], "runs", METHOD + "One is expected.", 1),
        Figure(
            "backlog_miscounted",
            abs(RECORDS - found["distinct"]) + found["rows"] - found["distinct"] + abs(RECORDS - found["in_run"]),
            "records",
            METHOD + "Records that the ledger, or the window of the run, has not exactly once.",
            0,
        ),
    ]


def _rule() -> dict[str, Any]:
    batch = {"at_least": {"events": RECORDS}}
    return {
        "name": "all",
        "triggers": {"new": {"data": {"source": NAME, "batch": batch}}},
        "submit": {"workflow_template": TEMPLATE, "parameters": {"event": "${window.events}"}},
    }


def _await_end(daemon: Daemon) -> None:
    """Wait until no run is active, so that a surplus run would have been created."""
    until = time.monotonic() + 60
    while any(run["ended_at"] is None for run in daemon.get("/api/v1/runs")["items"]):
        if time.monotonic() > until:
            raise RuntimeError("the run has not ended after 60 s")
        time.sleep(0.2)


def _memory(looks: Sequence[Look]) -> dict[str, float]:
    """MB, by number of stored records."""
    quarters: list[list[float]] = [[], [], [], []]
    for look in looks:
        quarters[min(3, 4 * look.stored // RECORDS)].append(look.resident * MB)
    medians = [round(sorted(values)[len(values) // 2], 1) for values in quarters]
    names = ("first", "second", "third", "last")
    shown = {f"resident_{name}_quarter_mb": value for name, value in zip(names, medians, strict=True)}
    return shown | {"resident_max_mb": round(max(look.resident for look in looks) * MB, 1)}


def _recount(store: Path) -> dict[str, int]:
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as conn:
        rows, distinct = conn.execute("SELECT count(*), count(DISTINCT id) FROM events").fetchone()
        windows = [orjson.loads(window) for (window,) in conn.execute("SELECT window FROM runs")]
        inputs = conn.execute("SELECT count(*) FROM inputs").fetchone()[0]
    in_run = sum(window["events"] for window in windows)
    return {"rows": rows, "distinct": distinct, "inputs": inputs, "runs": len(windows), "in_run": in_run}
