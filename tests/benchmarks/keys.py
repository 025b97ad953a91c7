"""The cost of an event under `for_each` when few of the known keys are touched."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.cluster import TEMPLATE
from tests.benchmarks.engine import an_engine, events_like_records
from tests.benchmarks.figures import Figure, percentile
from tests.benchmarks.load import NAME, NEVER

FEW, MANY = 100, 10_000
TOUCHED = 10
EVENTS = 20_000
ROUNDS = 5
METHOD = (
    f"The engine with its thread on a real SQLite file, one rule with `for_each` by `data.model`; {EVENTS:,} events of "
    f"{TOUCHED} keys, 500 a batch, when {FEW} and when {MANY:,} keys are known. "
)


def many_keys() -> list[Figure]:
    rounds = [(_measure(FEW), _measure(MANY)) for _ in range(ROUNDS)]
    few = [first for first, _ in rounds]
    many = [second for _, second in rounds]
    ratio = percentile([b["cpu_us_per_event"] / a["cpu_us_per_event"] for a, b in rounds], 0.5)
    detail = {f"{FEW}_keys": few, f"{MANY}_keys": many}
    return [
        Figure(
            "keys_known_cost_ratio",
            round(ratio, 3),
            "",
            METHOD + f"CPU time an event, the second divided by the first; the median of {ROUNDS}.",
            1.2,
            detail=detail,
        ),
        Figure(
            "keys_rows_written",
            max(each["state_rows_written"] for each in many),
            "rows",
            METHOD + "State rows with another content or time after the events than before.",
            TOUCHED,
        ),
    ]


def _measure(known: int) -> dict[str, Any]:
    learn = events_like_records(known, known)
    touch = events_like_records(EVENTS, TOUCHED)
    with tempfile.TemporaryDirectory() as name, an_engine(Path(name), [_rule()]) as running:
        running.offer_all(learn)
        before = _touched(Path(name))
        began = time.process_time()
        running.offer_all(touch)
        cost = 1e6 * (time.process_time() - began) / EVENTS
        after = _touched(Path(name))
    written = sum(at != before.get(key) for key, at in after.items())
    return {"cpu_us_per_event": round(cost, 1), "states": len(after), "state_rows_written": written}


def _rule() -> dict[str, Any]:
    data = {"source": NAME, "batch": {"at_least": {"events": NEVER}}}
    return {
        "name": "each",
        "for_each": {"by": {"new": "event.data.model"}, "max_keys": 2 * MANY},
        "triggers": {"new": {"data": data}},
        "submit": {"workflow_template": TEMPLATE},
    }


def _touched(folder: Path) -> dict[str, float]:
    with sqlite3.connect(f"file:{folder / 'retrainer.db'}?mode=ro", uri=True) as conn:
        return dict(conn.execute("SELECT key, touched_at FROM states WHERE key != ''"))
