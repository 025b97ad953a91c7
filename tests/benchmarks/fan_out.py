"""Thirty thousand runs due on one slot: the length of transactions, and the waiting time of an event meanwhile."""

from __future__ import annotations

import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from retrainer.event import Event
from retrainer.sources.base import Batch
from retrainer.store import tables as t
from tests.benchmarks.engine import an_engine
from tests.benchmarks.figures import Figure, percentile, spread
from tests.benchmarks.load import NAME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.benchmarks.engine import FullQueue

RULES, KEYS = 100, 300
EVENTS_A_SECOND = 20
AHEAD = 60.0
"""Minimum seconds until the slot: the keys are created before it."""
PATIENCE = 300.0
WHAT = (
    f"{RULES} rules with {KEYS} keys each on one slot of their schedules, so {RULES * KEYS} runs, in the engine as the "
    f"daemon builds it, in this process, on SQLite with synchronous=FULL; {EVENTS_A_SECOND} events a second meanwhile, "
    "each a transaction of its own. "
)


def one_slot() -> list[Figure]:
    slot = datetime.fromtimestamp((time.time() + AHEAD) // 60 * 60 + 60, UTC)
    with (
        tempfile.TemporaryDirectory() as folder,
        an_engine(Path(folder), [_rule(n, slot) for n in range(RULES)]) as run,
    ):
        longest = _watch(run)
        _make_keys(run)
        longest.clear()
        time.sleep(max(slot.timestamp() - time.time() - 1.0, 0.0))
        began = slot.timestamp()
        waits = _send_until(run, RULES * KEYS)
        took = time.time() - began
    detail = {"transactions": len(longest), "seconds_until_all_runs": round(took, 1)}
    method = WHAT + "The longest transaction from the slot until all runs were created."
    return [
        Figure("fan_out_longest_transaction", round(max(longest), 3), "s", method, 1.0, detail=detail),
        Figure(
            "fan_out_event_p99",
            round(percentile(waits, 0.99), 3),
            "s",
            WHAT + "From the offer of an event until it is durable, p99.",
            2.0,
            detail=spread(waits),
        ),
    ]


def _rule(number: int, slot: datetime) -> dict[str, Any]:
    batch = {"at_least": {"events": 1_000_000}}
    return {
        "name": f"rule-{number:03d}",
        "triggers": {
            "nightly": {"schedule": {"cron": f"{slot.minute} {slot.hour} * * *", "jitter": "0s"}},
            "data": {"data": {"source": NAME, "match": {"model": f"m-{number}"}, "batch": batch}},
        },
        "for_each": {"by": {"data": "event.data.key"}},
        "submit": {"workflow_template": "train", "parameters": {"key": "${key}", "at": "${trigger.scheduled_at}"}},
    }


def _make_keys(run: FullQueue) -> None:
    for rule in range(RULES):
        events = [_event(f"{rule}/{n}", {"model": f"m-{rule}", "key": f"k{n:03d}"}) for n in range(KEYS)]
        run.offer_all([Batch(NAME, events, identity_window=0)])


def _event(name: str, data: dict[str, Any]) -> Event:
    return Event(NAME, name, "t", time.time(), data)


def _watch(run: FullQueue) -> list[float]:
    """Collect the seconds of each transaction that the engine reports to its listener."""
    seconds: list[float] = []
    listener = run.listener
    told = listener.committed

    def committed(took: float, waited: Sequence[float], queued: int) -> None:
        seconds.append(took)
        told(took, waited, queued)

    listener.committed = committed  # type: ignore[method-assign]
    return seconds


def _send_until(run: FullQueue, runs: int) -> list[float]:
    """Send events at a steady rate until all runs are created; return the seconds until each event was durable."""
    waits: list[float] = []
    pace = threading.Event()
    until = time.monotonic() + PATIENCE
    number = 0
    while _created(run) < runs:
        if time.monotonic() > until:
            raise TimeoutError(f"{_created(run)} of {runs} runs after {PATIENCE:g} s")
        offered = time.monotonic()
        future = run.engine.offer(Batch(NAME, [_event(f"meanwhile/{number}", {"model": "none"})], identity_window=0))
        future.add_done_callback(lambda _, offered=offered: waits.append(time.monotonic() - offered))  # type: ignore[misc]
        number += 1
        pace.wait(1 / EVENTS_A_SECOND)
    return waits


def _created(run: FullQueue) -> int:
    return run.engine.store.read(lambda conn: conn.execute(select(func.count()).select_from(t.runs)).scalar_one())
