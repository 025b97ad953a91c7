"""No budget is exceeded under any sequence of run starts, ends, retries, manual requests, renewals and restarts.

After each admission the rows of the store are added up by code that is independent of the engine.
"""

from __future__ import annotations

import shutil
import tempfile
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from retrainer.engine.commands import operator_commands
from retrainer.event import Event
from retrainer.store import run_statements
from tests.houses.engine import DrivenEngine
from tests.unit.engine.kit import START, SUBMIT, data, observed, start

HOUR = 3600.0
EACH = {"overlap": "allow_all"}
RETRY = {"limit": 1, "backoff": {"duration": "10m"}}


class Limit(NamedTuple):
    """A budget, and the rules that use it. Without ``reserve``, the mean of the last ten runs is reserved."""

    rules: tuple[str, ...]
    per: float
    runs: int | None = None
    hours: float | None = None
    reserve: float | None = None


LIMITS = {
    "runs": Limit(("runs",), HOUR, runs=2),
    "hours": Limit(("hours",), 2 * HOUR, hours=5, reserve=2),
    "mean": Limit(("mean",), 2 * HOUR, hours=6),
    "growth": Limit(("low", "high"), 3 * HOUR, runs=4, hours=7, reserve=2),
}


def own(limit: Limit) -> dict[str, Any]:
    values = {"runs": limit.runs, "gpu_hours": limit.hours, "reserve": limit.reserve}
    return {"per": f"{limit.per:.0f}s", **{name: value for name, value in values.items() if value is not None}}


def a_rule(name: str, budget: Any, **limits: Any) -> dict[str, Any]:
    submit = {**SUBMIT, "retry": RETRY} if name in ("hours", "low") else SUBMIT
    triggers = data({"kind": name})
    return {"name": name, "triggers": triggers, "limits": {**EACH, "budget": budget, **limits}, "submit": submit}


RULES = [
    a_rule("runs", own(LIMITS["runs"])),
    a_rule("hours", own(LIMITS["hours"])),
    a_rule("mean", own(LIMITS["mean"])),
    a_rule("low", "growth", pool="gpu"),
    a_rule("high", "growth", priority=5),
]
NAMES = [each["name"] for each in RULES]
RUNS = "SELECT id, rule, admitted_at, ended_at, uid, gpu_hours FROM runs ORDER BY id"


class Row(NamedTuple):
    id: str
    rule: str
    admitted_at: float | None
    ended_at: float | None
    uid: str | None
    gpu_hours: float | None


class Budgets(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.bench = DrivenEngine(self.folder / "store.db", RULES, START, pools={"gpu": 2})
        self.share()
        self.numbers = count()
        self.seen: set[str] = set()

    def share(self) -> None:
        self.bench.budgets({"growth": own(LIMITS["growth"])})

    def teardown(self) -> None:
        if hasattr(self, "bench"):
            self.bench.store.close()
            shutil.rmtree(self.folder)

    def rows(self) -> list[Row]:
        return [Row(*row) for row in self.bench.query(RUNS)]

    @rule(kinds=st.lists(st.sampled_from(NAMES), min_size=1, max_size=4))
    def data_comes(self, kinds: list[str]) -> None:
        at = self.bench.clock.time
        self.bench.deliver([Event("push", f"e{next(self.numbers)}", "t", at, {"kind": kind}) for kind in kinds])

    @rule(seconds=st.sampled_from([1, 599, 1800, 3599, 3600, 3601, 7200]))
    def time_passes(self, seconds: int) -> None:
        self.bench.tick(seconds)

    @rule()
    def submit(self) -> None:
        start(self.bench)

    @rule(which=st.integers(0, 20))
    def refuse(self, which: int) -> None:
        """The API server rejects the Workflow: the run ends without having existed in the cluster."""
        claimed = self.bench.gateway.claim(100, 30)
        for i, run in enumerate(claimed):
            if i == which % len(claimed):
                self.bench.gateway.refused(run.id, "denied")
            else:
                self.bench.gateway.submitted(run.id, f"uid-{run.id}")

    @rule(which=st.integers(0, 20), hours=st.sampled_from([0.0, 0.5, 1.0, 2.0, 3.0]), well=st.booleans())
    def a_run_ends(self, which: int, hours: float, well: bool) -> None:
        live = [row.id for row in self.rows() if row.uid and row.ended_at is None]
        if live:
            self.finish(live[which % len(live)], hours, "Succeeded" if well else "Failed")

    def finish(self, run_id: str, hours: float, phase: str) -> None:
        run = self.bench.store.read(lambda conn: run_statements.run(conn, run_id))
        assert run is not None
        self.bench.gateway.observed([observed(run, phase, resources={"nvidia.com/gpu": hours * HOUR})])

    @rule(which=st.integers(0, 20))
    def somebody_cancels(self, which: int) -> None:
        live = [row.id for row in self.rows() if row.ended_at is None]
        if live:
            self.bench.act(lambda tx: operator_commands.cancel(tx, live[which % len(live)], "Stop"))

    @rule(which=st.integers(0, 20))
    def somebody_retries(self, which: int) -> None:
        ended = self.bench.query("SELECT id FROM runs WHERE ended_at IS NOT NULL AND phase != 'SUCCEEDED' ORDER BY id")
        if ended:
            self.bench.act(lambda tx: operator_commands.retry(tx, ended[which % len(ended)][0]))

    @rule(name=st.sampled_from(NAMES))
    def somebody_asks(self, name: str) -> None:
        self.bench.act(lambda tx: operator_commands.trigger(tx, name, "", {}, None, ""))

    @rule()
    def restart(self) -> None:
        self.bench.restart()
        self.share()

    @rule()
    def all_ends_well(self) -> None:
        """Start and end all runs repeatedly: no run waits for a budget forever."""
        for _ in range(len(self.rows())):
            start(self.bench)
            for row in self.rows():
                if row.uid and row.ended_at is None:
                    self.finish(row.id, 0.5, "Succeeded")
            self.no_budget_is_started_beyond()
            if all(row.ended_at is not None for row in self.rows()):
                return
            self.bench.tick(3 * HOUR + 1)
        assert [row for row in self.rows() if row.ended_at is None] == []

    def spent(self, limit: Limit, at: float) -> tuple[int, float]:
        """Runs and GPU hours in the period that ends at ``at``, with reservations for active runs."""
        inside = [
            row
            for row in self.rows()
            if row.rule in limit.rules
            and row.admitted_at is not None
            and at - limit.per < row.admitted_at <= at
            and (row.ended_at is None or row.uid)
        ]
        kept = {name: self.reserve(limit, name) for name in limit.rules}
        return len(inside), sum(kept[r.rule] if r.ended_at is None else r.gpu_hours or 0.0 for r in inside)

    def reserve(self, limit: Limit, name: str) -> float:
        if limit.hours is None or limit.reserve is not None:
            return limit.reserve or 0.0
        known = [r.gpu_hours for r in self.rows() if r.rule == name and r.uid and r.gpu_hours is not None][-10:]
        return sum(known) / len(known) if known else 0.0

    @invariant()
    def no_budget_is_started_beyond(self) -> None:
        if not hasattr(self, "bench"):
            return
        fresh = [row for row in self.rows() if row.admitted_at is not None and row.id not in self.seen]
        self.seen |= {row.id for row in fresh}
        for name, limit in LIMITS.items():
            for at in {row.admitted_at for row in fresh if row.rule in limit.rules and row.admitted_at is not None}:
                runs, hours = self.spent(limit, at)
                assert limit.runs is None or runs <= limit.runs, f"{name}: {runs} runs"
                assert limit.hours is None or hours <= limit.hours + 1e-6, f"{name}: {hours} GPU hours"


Budgets.TestCase.settings = settings(
    max_examples=30,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestBudgets = Budgets.TestCase
