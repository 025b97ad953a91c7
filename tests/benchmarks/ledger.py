"""The cost of pruning and lookups with 10,000,000 events in the ledger."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar

from retrainer.api import audit
from retrainer.config.settings import Store as StoreSettings
from retrainer.engine.retention.prune import Pruner
from retrainer.store.search import EventQuery
from tests.benchmarks.cluster import TEMPLATE
from tests.benchmarks.engine import an_engine, events_like_records
from tests.benchmarks.figures import Figure, percentile, spread
from tests.benchmarks.load import NAME, NEVER

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection

    from tests.benchmarks.engine import FullQueue

T = TypeVar("T")
EVENTS = 10_000_000
KEYS = 1000
ROUNDS = 30
MONTH = 30 * 86400.0
FIRST = 1_000_000
METHOD = (
    f"A SQLite file with {EVENTS:,} events and as many inputs of 1,000 keys as belong to 1 % of them, beside an engine "
    f"with its thread and a rule that waits for more. "
)
ASKED = {
    "number": str(FIRST + EVENTS // 3),
    "id": f"id-{EVENTS // 3}",
    "object": f"lake/part-{EVENTS // 3}.parquet",
    "old_subject": "day-3",
    "nothing": "no such thing",
}


def long_ledger() -> list[Figure]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with an_engine(folder, [_rule()]) as running:
            running.offer_all(events_like_records(KEYS, KEYS))
        began = time.monotonic()
        _fill(folder / "retrainer.db")
        filled = time.monotonic() - began
        with an_engine(folder, [_rule()]) as running:
            detail = {
                "events": EVENTS,
                "gigabytes": round(running.engine.store.size() / 1e9, 2),
                "filled_s": round(filled),
            }
            return [_nothing_to_prune(running, detail), *_finding(running, detail), _all_to_prune(running, detail)]


def _rule() -> dict[str, Any]:
    return {
        "name": "each",
        "for_each": {"by": {"new": "event.data.model"}, "max_keys": 10 * KEYS},
        "triggers": {"new": {"data": {"source": NAME, "batch": {"at_least": {"events": NEVER}}}}},
        "submit": {"workflow_template": TEMPLATE},
    }


def _fill(store: Path) -> None:
    """Fill the ledger by SQL over one month. One event in a hundred is in the window of a key."""
    conn = sqlite3.connect(store)
    keys = [key for (key,) in conn.execute("SELECT key FROM states WHERE key != '' ORDER BY id LIMIT ?", [KEYS])]
    conn.execute("CREATE TEMP TABLE keys (n INTEGER PRIMARY KEY, key TEXT)")
    conn.executemany("INSERT INTO keys VALUES (?, ?)", enumerate(keys))
    (index,) = conn.execute("SELECT sql FROM sqlite_master WHERE name = 'events_source_id'").fetchone()
    conn.execute("DROP INDEX events_source_id")
    numbers = f"WITH RECURSIVE c(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c WHERE n < {EVENTS - 1})"
    conn.execute(
        f"""{numbers} INSERT INTO events SELECT {FIRST} + n, :now - :month * ({EVENTS} - n) / {EVENTS},
        CASE n % 2 WHEN 0 THEN :name ELSE 'lake' END,
        CASE n % 2 WHEN 0 THEN 'id-' || n ELSE 'lake/part-' || n || '.parquet  ' || n || ' created' END,
        'json', :now, 'day-' || (n / 333333), '{{"model": "m", "rows": ' || n || ', "text": "'
        || hex(zeroblob(40)) || '"}}',
        '{{}}', CASE n % 100 WHEN 0 THEN 'matched' ELSE 'ignored' END,
        CASE n % 100 WHEN 0 THEN '[["each","' || (SELECT key FROM keys WHERE keys.n = (c.n / 100) % {KEYS}) || '"]]'
        ELSE '[]' END FROM c""",
        {"now": time.time(), "month": MONTH * 0.9, "name": NAME},
    )
    conn.execute(
        f"""{numbers} INSERT INTO inputs SELECT (SELECT states.id FROM keys, states WHERE keys.n = (c.n / 100) % {KEYS}
        AND states.rule = 'each' AND states.key = keys.key), {FIRST} + n FROM c WHERE n % 100 = 0"""
    )
    conn.execute(index)
    conn.commit()
    conn.close()


def _nothing_to_prune(running: FullQueue, detail: dict[str, Any]) -> Figure:
    pruner = Pruner(StoreSettings(), time.monotonic)
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        while running.engine.act(lambda tx: pruner.prune(tx, 0)).result():
            pass
        times.append(time.perf_counter() - began)
    method = METHOD + f"None is past its time. From asking until there is nothing more to do; the median of {ROUNDS}."
    value = round(1000 * percentile(times, 0.5), 2)
    return Figure("prune_nothing_to_do", value, "ms", method, 20, detail=detail | spread(times))


def _all_to_prune(running: FullQueue, detail: dict[str, Any]) -> Figure:
    """All events are past their retention: measure each transaction that removes them."""
    pruner = Pruner(StoreSettings.model_validate({"ledger_max_age": "1s"}), time.monotonic)
    times: list[float] = []
    while sum(times) < 20:
        began = time.perf_counter()
        if not running.engine.act(lambda tx: pruner.prune(tx, 0)).result():
            break
        times.append(time.perf_counter() - began)
    left = running.engine.store.read(lambda conn: conn.exec_driver_sql("SELECT count(*) FROM events").scalar_one())
    more = {"removed_per_s": round((EVENTS + KEYS - left) / sum(times)), **spread(times)}
    method = METHOD + "All are past their time; the longest transaction of 20 s of pruning."
    return Figure("prune_longest_transaction", round(max(times), 3), "s", method, 1, detail=detail | more)


def _finding(running: FullQueue, detail: dict[str, Any]) -> list[Figure]:
    rules = list(running.engine.catalog.rules.values())
    pieces: list[float] = []

    def read(fn: Callable[[Connection], T]) -> T:
        began = time.perf_counter()
        found = running.engine.store.read(fn)
        pieces.append(time.perf_counter() - began)
        return found

    store: Any = SimpleNamespace(read=read)
    whole = {what: _timed(partial(audit.find, store, rules, EventQuery(text))) for what, text in ASKED.items()}
    slowest = {what: spread(times) for what, times in whole.items()}
    value = round(1000 * max(percentile(times, 0.5) for times in whole.values()), 2)
    method = METHOD + f"By {', '.join(ASKED)}; the slowest kind, the median of {ROUNDS}."
    held = METHOD + "One read of those that finding makes, at p99: the engine waits for it."
    return [
        Figure("find_event", value, "ms", method, 50, detail=detail | slowest),
        Figure(
            "find_event_longest_read", round(1000 * percentile(pieces, 0.99), 2), "ms", held, 20, detail=spread(pieces)
        ),
    ]


def _timed(ask: Callable[[], object]) -> Sequence[float]:
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        ask()
        times.append(time.perf_counter() - began)
    return times
