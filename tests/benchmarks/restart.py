"""Time to readiness after kill -9, with a long history in the store."""

from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.benchmarks.cluster import Namespace
from tests.benchmarks.daemon import Daemon
from tests.benchmarks.figures import Figure
from tests.benchmarks.sender import Sender

if TYPE_CHECKING:
    from tests.benchmarks.cluster import Cluster

EVENTS = 1_000_000
REPETITIONS = 5
NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < :last)"
DATA = "json_object('n', i, 'key', 'landing/2026/file-' || i || '.csv', 'size', 4096)"
EVENT = f"i, 1e9 + i, 'push', 'e' || i, 'data', 1e9 + i, '', {DATA}, '{{}}', 'matched', '[[\"bench\",\"\"]]'"
FILL = (
    f"{NUMBERS} INSERT INTO events SELECT {EVENT} FROM n",
    f"{NUMBERS} INSERT INTO identities SELECT 'push', 'e' || i, i, 2e9, 3e9 FROM n",
    f"{NUMBERS} INSERT INTO inputs SELECT 1, i FROM n",
)


def _rule() -> dict[str, object]:
    """A rule that takes every event, with a larger batch than will arrive."""
    return {
        "name": "bench",
        "triggers": {"many": {"data": {"source": "push", "batch": {"at_least": {"events": 10**9}}}}},
        "submit": {"workflow_template": "waits"},
    }


def _fill(path: Path) -> None:
    conn = sqlite3.connect(path)
    for statement in FILL:
        conn.execute(statement, {"last": EVENTS + 999})
    conn.commit()
    conn.close()


def after_kill(cluster: Cluster) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder, Namespace(cluster) as namespace:
        daemon = Daemon(Path(folder), namespace.name, [_rule()])
        empty = daemon.begin()
        daemon.kill()
        _fill(daemon.store)
        daemon.begin()
        took, cpu = [], []
        for repetition in range(REPETITIONS):
            Sender(daemon.port).all_at_once(range(100 * repetition, 100 * repetition + 100))
            daemon.kill()
            took.append(round(daemon.begin(), 3))
            cpu.append(round(daemon.cpu_seconds(), 2))
        size = daemon.store.stat().st_size
        daemon.kill()
    method = (
        f"{EVENTS:,} events in the ledger with their identities and inputs, put there by SQL in the shape the daemon "
        "writes. 100 events by webhook, kill -9, start: from the start of the process until /readyz answers 200, asked "
        f"every 10 ms. The longest of {REPETITIONS}; the file is in the page cache."
    )
    detail = {
        "each_s": took,
        "cpu_s": cpu,
        "with_an_empty_store_s": round(empty, 3),
        "store_mib": round(size / 2**20, 1),
    }
    return [Figure("ready_after_kill", max(took), "s", method, 3, detail=detail)]
