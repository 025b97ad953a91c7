"""Batch boundaries do not affect decisions: one transaction and many give the same journal."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retrainer.engine.runs.endings import end_run
from retrainer.event import Event
from retrainer.runs.run import RunPhase
from retrainer.sources.base import Batch
from retrainer.store import run_statements
from tests.houses.engine import DrivenEngine
from tests.unit.engine.kit import START, SUBMIT, data

if TYPE_CHECKING:
    from collections.abc import Callable

RULES: list[dict[str, Any]] = [
    {"name": "each", "triggers": data({"k": "a"}), "limits": {"overlap": "allow_all", "max_active": 3}},
    {"name": "sized", "triggers": data(at_least={"bytes": "60B", "rows": 9}, rows="event.data.rows")},
    {
        "name": "things",
        "triggers": data(at_least={"events": 3}, distinct_by="event.data.thing"),
        "submit": {**SUBMIT, "retry": {"limit": 1}},
    },
    {
        "name": "keyed",
        "triggers": data(at_least={"events": 2}, where="event.data.rows < 8"),
        "for_each": {"by": {"d": "event.data.who"}, "max_keys": 2},
    },
    {
        "name": "two",
        "triggers": {
            "d": data({"k": "a"}, at_least={"events": 3})["d"],
            "e": data({"k": "b"}, distinct_by="event.data.thing", batch={"debounce": "1h"})["d"],
        },
        "limits": {"cooldown": {"period": "1h"}},
    },
]
came = st.fixed_dictionaries(
    {
        "k": st.sampled_from("ab"),
        "size": st.integers(0, 40),
        "rows": st.integers(0, 9),
        "thing": st.sampled_from("xyz"),
        "who": st.sampled_from("pqr"),
    }
)
ends = st.tuples(st.sampled_from([rule["name"] for rule in RULES]), st.sampled_from(["SUCCEEDED", "FAILED"]))
steps = st.lists(st.one_of(came, came, came, ends), min_size=1, max_size=40)
cuts = st.sets(st.integers(0, 40))


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps, cuts)
def test_where_a_batch_is_cut_changes_nothing(journal: list[Any], cut: set[int]) -> None:
    one_by_one = emitted(journal, set(range(41)))
    assert emitted(journal, set()) == one_by_one
    assert emitted(journal, cut) == one_by_one


def emitted(journal: list[Any], cut: set[int]) -> dict[str, Any]:
    """All stored rows, without random names."""
    folder = Path(tempfile.mkdtemp())
    bench = DrivenEngine(folder / "store.db", [{"submit": SUBMIT, **rule} for rule in RULES], START)
    try:
        begin = 0
        for end in (*(number + 1 for number in range(len(journal)) if number in cut), len(journal)):
            with bench.together():
                for what in _merged(journal, begin, end):
                    bench.engine.offer(what) if isinstance(what, Batch) else bench.engine.act(what)
            begin = end
        return _stored(bench)
    finally:
        bench.store.close()
        shutil.rmtree(folder)


def _merged(journal: list[Any], begin: int, end: int) -> list[Any]:
    """The batches and acts of this part of the journal. Adjacent events are one batch."""
    merged: list[Any] = []
    for number, what in enumerate(journal[begin:end], begin):
        if isinstance(what, tuple):
            merged.append(_end(*what))
            continue
        came = Event("push", f"e{number}", "t", START - number, what)
        if merged and isinstance(merged[-1], Batch):
            merged[-1].items.append(came)
        else:
            merged.append(Batch("push", [came]))
    return merged


def _end(rule: str, phase: str) -> Callable[[Any], None]:
    """End the oldest active run of a rule with this phase."""

    def do(tx: Any) -> None:
        tx.writes.flush_runs()
        query = f"SELECT id FROM runs WHERE rule = '{rule}' AND ended_at IS NULL ORDER BY rowid LIMIT 1"
        for (run_id,) in tx.conn.exec_driver_sql(query).all():
            end_run(tx, run_statements.run(tx.conn, run_id), RunPhase(phase), "", by_request=False)

    return do


def _stored(bench: DrivenEngine) -> dict[str, Any]:
    runs = bench.query(
        "SELECT id, rule, key, phase, trigger, reason, attempt, chain, window, taken FROM runs ORDER BY rowid"
    )
    name = {"": "", **{run[0]: f"run-{n}" for n, run in enumerate(runs)}}
    return {
        "runs": [(name[r[0]], *r[1:7], name[r[7]], json.loads(r[8]), json.loads(r[9])) for r in runs],
        "states": [
            (r[0], r[1], json.loads(r[2])) for r in bench.query("SELECT rule, key, state FROM states ORDER BY id")
        ],
        "decisions": bench.query("SELECT rule, key, decision, reason, detail, until, count FROM decisions ORDER BY id"),
        "events": bench.query("SELECT seq, id, outcome, rules FROM events ORDER BY seq"),
        "inputs": bench.query("SELECT state, seq FROM inputs ORDER BY state, seq"),
        "distincts": sorted(
            (*r[:3], name[r[3]], *r[4:])
            for r in bench.query("SELECT state, trigger, value, chain, bytes, rows FROM distincts")
        ),
        "dead_letters": bench.query("SELECT event, reason, rule, error FROM dead_letters ORDER BY id"),
    }
