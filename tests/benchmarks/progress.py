"""The records of a topic that a daemon has made durable, observed through its API while it reads."""

from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING, NamedTuple

import orjson

from tests.benchmarks.load import MATCHES, NAME

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.benchmarks.daemon import Daemon

EVERY = 0.25
PATIENCE = 600.0


class Look(NamedTuple):
    """``stored`` records are durable at ``at`` (time.monotonic). CPU seconds and MiB are the daemon's at that time."""

    at: float
    stored: int
    cpu: float
    resident: float


def follow(daemon: Daemon, records: int) -> list[Look]:
    """Poll the positions in the API four times a second until ``records`` are stored; return all polls."""
    looks = [_look(daemon)]
    until = time.monotonic() + PATIENCE
    while looks[-1].stored < records:
        if time.monotonic() > until:
            raise RuntimeError(f"{looks[-1].stored} of {records} records are stored after {PATIENCE:.0f} s")
        time.sleep(EVERY)
        looks.append(_look(daemon))
    return looks


def _look(daemon: Daemon) -> Look:
    positions = daemon.get(f"/api/v1/sources/{NAME}")["positions"]
    stored = sum(position["next"] for position in positions)
    return Look(time.monotonic(), stored, daemon.cpu_seconds(), daemon.resident_mib())


def pace(looks: Sequence[Look], records: int) -> dict[str, float]:
    """The rate between the first poll with progress and the last one before the end, and its CPU time."""
    under_way = [look for look in looks if 0 < look.stored < records]
    first, last = under_way[0], under_way[-1]
    stored = last.stored - first.stored
    return {
        "per_second": round(stored / (last.at - first.at)),
        "cpu_us_per_record": round(1e6 * (last.cpu - first.cpu) / stored, 1),
        "of_records": stored,
    }


def miscounted(store: Path, records: int, models: int) -> int:
    """The number of records that are not in the ledger once, or not counted once by a rule of `matching_rules`."""
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as conn:
        rows, distinct = conn.execute("SELECT count(*), count(DISTINCT id) FROM events").fetchone()
        states = dict(conn.execute("SELECT rule, state FROM states"))
    wrong = abs(records - distinct) + rows - distinct
    for rule, state in states.items():
        mine = range(int(rule.rpartition("-")[2]) // MATCHES, records, models)
        wrong += abs(len(mine) - orjson.loads(state)["window"]["events"])
    return wrong
