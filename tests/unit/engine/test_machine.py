"""The guarantees under any sequence of events, ticks, crashes, and lost or repeated answers."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from retrainer.engine.commands import operator_commands
from retrainer.engine.schedules import backfills
from retrainer.engine.schedules.backfills import BackfillOrder
from retrainer.event import Event
from retrainer.rules.state import decode
from retrainer.runs.naming import workflow_name
from retrainer.store.sqlite import SqliteStore
from retrainer.util.timefmt import rfc3339
from retrainer.workflows.base import Observed
from tests.houses.engine import Crash, DrivenEngine

START = 1_800_000_000.0
SUBMIT = {"workflow_template": "train"}
RETRY = {"limit": 1, "backoff": {"duration": "5m"}}


def data(kind: str, **batch: Any) -> dict[str, Any]:
    return {"d": {"data": {"source": "push", "match": {"kind": kind}, "batch": batch}}}


RULES: list[dict[str, Any]] = [
    {"name": "each", "triggers": data("a"), "limits": {"overlap": "allow_all", "pool": "gpu"}, "submit": SUBMIT},
    {
        "name": "batch",
        "triggers": data("a", at_least={"events": 3}, max_wait="2h"),
        "limits": {"cooldown": {"period": "10m"}, "pause_after_failures": 3},
        "submit": {**SUBMIT, "retry": RETRY},
    },
    {
        "name": "nightly",
        "triggers": {"n": {"schedule": {"cron": "0 * * * *", "recover_missed": "last"}}, **data("b")},
        "limits": {"overlap": "skip"},
        "submit": SUBMIT,
    },
    {
        "name": "keyed",
        "triggers": data("b", at_least={"events": 2}),
        "for_each": {"by": {"d": "event.data.who"}},
        "limits": {"overlap": "cancel_other", "deadline": "3h"},
        "submit": SUBMIT,
    },
]
ALONE = ("batch", "nightly", "keyed")
PHASES = ("Succeeded", "Failed", "Error")
crashes = st.sampled_from(["", "", "", "before", "after"])
events = st.lists(st.tuples(st.integers(0, 60), st.sampled_from("ab"), st.sampled_from("xy")), min_size=1, max_size=6)


class Promises(RuleBasedStateMachine):
    build: Any = staticmethod(SqliteStore.open)

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.bench = DrivenEngine(self.folder / "store.db", RULES, START, pools={"gpu": 2}, room=1, build=self.build)
        self.kinds: dict[int, tuple[str, str]] = {}
        self.acknowledged: set[str] = set()
        self.delivered: set[str] = set()
        self.cluster: dict[str, dict[str, Any]] = {}
        self.creations: Counter[str] = Counter()
        self.asked: dict[str, set[float]] = {}
        """Slots requested by backfills, by request."""
        self.repeating: set[str] = set()
        """Requests that may run a slot again."""
        self.dropped: set[tuple[str, float]] = set()

    def teardown(self) -> None:
        if hasattr(self, "bench"):
            self.bench.store.close()
            shutil.rmtree(self.folder)

    def survive(self, crash: str, do: Any) -> Any:
        self.bench.crash_at = crash
        try:
            return do()
        except Crash:
            self.bench.restart()
            return None
        finally:
            self.bench.crash_at = ""

    @rule(drawn=events, crash=crashes)
    def deliver(self, drawn: list[tuple[int, str, str]], crash: str) -> None:
        batch = []
        for number, *first in drawn:
            kind, who = self.kinds.setdefault(number, (first[0], first[1]))
            batch.append(Event("push", f"e{number}", "t", self.bench.clock.time, {"kind": kind, "who": who}))
        self.delivered |= {e.id for e in batch}
        outcomes = self.survive(crash, lambda: self.bench.deliver(batch))
        if outcomes is not None:
            assert len(outcomes) == len(batch)
            self.acknowledged |= {e.id for e in batch}

    @rule(seconds=st.sampled_from([1, 60, 700, 3600, 9000]), crash=crashes)
    def pass_time(self, seconds: int, crash: str) -> None:
        self.survive(crash, lambda: self.bench.tick(seconds))

    @rule(lost=st.sampled_from(["", "", "answer", "request"]), crash=crashes)
    def submit(self, lost: str, crash: str) -> None:
        """Create Workflows for dispatched and claimed runs, and report them. The request or its answer may be lost."""
        given, self.bench.submitter.taken = self.bench.submitter.taken, []
        claimed = self.survive(crash, lambda: self.bench.gateway.claim(2, 30))
        for run in [] if claimed is None else [*given, *claimed]:
            assert run.workflow == workflow_name(run.rule, run.id)
            if lost == "request":
                continue
            if run.workflow not in self.cluster:
                self.creations[run.id] += 1
                self.cluster[run.workflow] = {"run": run.id, "uid": f"uid-{run.id}", "phase": "Running"}
            if not lost:
                self.bench.gateway.submitted(run.id, self.cluster[run.workflow]["uid"])

    @rule(which=st.integers(0, 20), phase=st.sampled_from(PHASES), times=st.integers(1, 2), crash=crashes)
    def finish(self, which: int, phase: str, times: int, crash: str) -> None:
        live = [name for name, w in self.cluster.items() if w["phase"] == "Running"]
        if not live:
            return
        name = live[which % len(live)]
        self.cluster[name]["phase"] = phase
        seen = [self.seen(name)] * times
        self.survive(crash, lambda: self.bench.gateway.observed(seen))

    def seen(self, name: str) -> Observed:
        w = self.cluster[name]
        return Observed("ml", name, w["uid"], w["run"], w["phase"])

    @rule()
    def look_again(self) -> None:
        """A list reports all Workflows again."""
        self.bench.gateway.observed([self.seen(name) for name in self.cluster])

    @rule(which=st.integers(0, 20), crash=crashes)
    def cancel(self, which: int, crash: str) -> None:
        live = self.bench.query("SELECT id FROM runs WHERE ended_at IS NULL ORDER BY id")
        if live:
            run = live[which % len(live)][0]
            self.survive(crash, lambda: self.bench.act(lambda tx: operator_commands.cancel(tx, run, "Stop")))

    @rule(name=st.sampled_from(["each", "batch"]), pause=st.booleans(), crash=crashes)
    def pause_or_resume(self, name: str, pause: bool, crash: str) -> None:
        def do(tx: Any) -> None:
            operator_commands.pause(tx, name, "") if pause else operator_commands.resume(tx, name)

        self.survive(crash, lambda: self.bench.act(do))

    @rule(since=st.integers(1, 9), until=st.integers(0, 3), rerun=st.booleans(), crash=crashes)
    def backfill(self, since: int, until: int, rerun: bool, crash: str) -> None:
        """A client without an answer from a dying daemon repeats its request."""
        now = self.bench.clock.time
        begin, end = rfc3339(now - since * 3600), rfc3339(now + 1 - until * 3600)
        if begin >= end:
            return
        order, once = BackfillOrder("nightly", "", begin, end, rerun=rerun), f"k{len(self.asked)}"
        ask = lambda: self.bench.act(lambda tx: backfills.ask(tx, order, once))  # noqa: E731
        first = self.survive(crash, ask)
        answer = ask()
        assert first in (None, answer)
        self.asked[answer["request"]] = {slot["slot"] for slot in answer["slots"] if slot["runs"]}
        if rerun:
            self.repeating.add(answer["request"])

    @rule(crash=crashes)
    def withdraw(self, crash: str) -> None:
        before = self.waiting()
        self.survive(crash, lambda: self.bench.act(lambda tx: backfills.withdraw(tx, "nightly", "")))
        self.dropped |= set(before) - set(self.waiting()) - set(self.backfilled())

    def waiting(self) -> Counter[tuple[str, float]]:
        return Counter((a.request, a.scheduled_at) for a in self.nightly().asked)

    def backfilled(self) -> Counter[tuple[str, float]]:
        query = "SELECT cause, scheduled_at FROM runs WHERE rule = 'nightly' AND reason = 'backfill'"
        return Counter((json.loads(cause)["request"], slot) for cause, slot in self.bench.query(query))

    def nightly(self) -> Any:
        return decode(self.bench.query("SELECT state FROM states WHERE rule = 'nightly' AND key = ''")[0][0])

    @rule()
    def restart(self) -> None:
        self.bench.restart()

    @invariant()
    def acknowledged_means_durable_and_counted_once(self) -> None:
        if not hasattr(self, "bench"):
            return
        stored = Counter(row[0] for row in self.bench.query("SELECT id FROM events"))
        assert all(n == 1 for n in stored.values())
        assert self.acknowledged <= set(stored) <= self.delivered

    @invariant()
    def at_most_one_workflow_a_run(self) -> None:
        if hasattr(self, "bench"):
            assert all(n == 1 for n in self.creations.values())

    @invariant()
    def inputs_are_neither_lost_nor_spent_twice(self) -> None:
        """Each matched event is pending, in an active run, or consumed by a run that succeeded."""
        if not hasattr(self, "bench"):
            return
        for state_id, name, key, text in self.bench.query("SELECT id, rule, key, state FROM states"):
            matched = self.bench.query(f"SELECT count(*) FROM inputs WHERE state = {state_id}")[0][0]
            where = f"rule = '{name}' AND key = '{key}'"
            runs = self.bench.query(f'SELECT phase, ended_at, "window" FROM runs WHERE {where}')
            spent = [w for phase, ended, w in runs if ended is None or phase == "SUCCEEDED"]
            state = decode(text)
            taken = sum(json.loads(w).get("events", 0) for w in spent)
            assert matched == state.window.events + taken, (name, key)
            pending = [seq for lo, hi in state.window.ranges for seq in range(lo, hi + 1)]
            assert len(pending) == len(set(pending))

    @invariant()
    def the_state_knows_what_is_on_its_way_and_alone_means_alone(self) -> None:
        if not hasattr(self, "bench"):
            return
        live = Counter(tuple(r) for r in self.bench.query("SELECT rule, key FROM runs WHERE ended_at IS NULL"))
        for name, key, text in self.bench.query("SELECT rule, key, state FROM states"):
            assert decode(text).active == live[name, key]
            if name in ALONE:
                assert live[name, key] <= 1
        in_pool = self.bench.query(
            "SELECT count(*) FROM runs WHERE pool = 'gpu' AND ended_at IS NULL AND admitted_at IS NOT NULL"
        )
        assert in_pool[0][0] <= 2

    @invariant()
    def each_slot_has_exactly_one_record(self) -> None:
        if not hasattr(self, "bench"):
            return
        rows = self.bench.query("SELECT slot, until, count FROM slots WHERE rule = 'nightly'")
        cursor = self.nightly().cursors["n"]
        since = sum(n for slot, _, n in rows if slot > START)
        assert since + len(cursor.due) == (cursor.at - START) // 3600
        covered = sorted((slot, until) for slot, until, _ in rows)
        assert all(a[1] < b[0] for a, b in pairwise(covered))

    @invariant()
    def what_was_asked_for_waits_or_has_one_run_or_was_dropped(self) -> None:
        if not hasattr(self, "bench"):
            return
        asked = Counter((request, slot) for request, slots in self.asked.items() for slot in slots)
        assert self.backfilled() + self.waiting() + Counter(self.dropped) == asked

    @invariant()
    def no_slot_runs_twice_unless_that_was_asked_for(self) -> None:
        if not hasattr(self, "bench"):
            return
        query = (
            "SELECT cause, scheduled_at FROM runs WHERE rule = 'nightly' AND scheduled_at IS NOT NULL "
            "AND (phase != 'CANCELLED' OR uid IS NOT NULL OR submit_attempts > 0)"
        )
        runs = [(json.loads(cause).get("request"), slot) for cause, slot in self.bench.query(query)]
        assert all(n == 1 for n in Counter(slot for request, slot in runs if request not in self.repeating).values())

    @invariant()
    def a_wake_up_lies_ahead(self) -> None:
        if hasattr(self, "bench"):
            soonest = self.bench.query("SELECT min(wake_at) FROM states")[0][0]
            assert soonest is None or soonest >= self.bench.clock.time - 9000


Promises.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestPromises = Promises.TestCase
