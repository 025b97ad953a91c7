"""Many rules that are due in the same second."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.cluster import TEMPLATE, Namespace, Watcher
from tests.benchmarks.daemon import Daemon
from tests.benchmarks.figures import Figure, percentile, spread

if TYPE_CHECKING:
    from tests.benchmarks.cluster import Cluster

RULES = 100


def _rule(number: int) -> dict[str, Any]:
    submit = {"workflow_template": TEMPLATE, "parameters": {"event": str(number)}}
    return {"name": f"slot-{number}", "triggers": {"minute": {"schedule": {"cron": "* * * * *"}}}, "submit": submit}


def same_second(cluster: Cluster) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder, Namespace(cluster) as namespace:
        if 60 - time.time() % 60 < 6:
            time.sleep(8)  # the daemon starts well before the slot
        slot = time.time() // 60 * 60 + 60
        with Daemon(Path(folder), namespace.name, [_rule(n) for n in range(RULES)]) as daemon:
            watcher = Watcher(namespace)
            offset = time.time() - time.monotonic()
            watcher.wait_for(RULES, slot - time.time() + 60)
            time.sleep(1)  # time for the daemon to write the rest
            rows = _runs(daemon.store, slot)
        created = [a.at + offset - slot for a in watcher.added]
    decided = [born - slot for born, _ in rows]
    submitted = [at - slot for _, at in rows if at is not None]
    detail = {"rules": RULES, "workflows": len(created)}
    method = (
        f"{RULES} rules with the cron expression of each minute; the daemon is started some seconds before the slot. "
    )
    return [
        Figure(
            "slot_to_decision_p99",
            round(1000 * percentile(decided, 0.99), 2),
            "ms",
            method + "Each run's created_at (the engine's now in the transaction that decided it) less the slot.",
            100,
            detail=detail | spread(decided),
        ),
        Figure(
            "slot_to_last_workflow",
            round(max(created), 3),
            "s",
            method + "From the slot until a second watcher saw the ADDED event of the last of their Workflows.",
            1.5,
            detail=detail | spread(created) | {"submitted_in_store": spread(submitted)},
        ),
    ]


def _runs(store: Path, slot: float) -> list[tuple[float, float | None]]:
    with sqlite3.connect(f"file:{store}?mode=ro", uri=True) as conn:
        return conn.execute("SELECT created_at, submitted_at FROM runs WHERE scheduled_at = ?", (slot,)).fetchall()
