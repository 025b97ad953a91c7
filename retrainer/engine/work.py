"""One transaction's worth of work: inputs are folded, what follows is staged, and written at the end in one go."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import structlog
from ulid import ULID

from retrainer.engine.births import bear
from retrainer.engine.cache import Cache, Entry, Noted
from retrainer.rules.decide import step
from retrainer.rules.fold import first_state, revise
from retrainer.rules.outcome import (
    Arrived,
    Decision,
    Ended,
    Input,
    Kind,
    Reason,
    Reopened,
    SlotRecord,
    Step,
    Unrendered,
)
from retrainer.rules.state import VERSION, Window, encode, window_from
from retrainer.runs.run import Run, RunPhase
from retrainer.store import tables as t
from retrainer.store import writes
from retrainer.store.rows import dump, run_to_row

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from retrainer.engine.catalog import Catalog
    from retrainer.rules.compile import CompiledRule

log = structlog.get_logger()


class Work:
    """Lives for one transaction. ``told`` is what listeners (metrics, log) hear once it is committed."""

    def __init__(
        self, conn: Connection, catalog: Catalog, cache: Cache, counters: dict[str, int], now: float, namespace: str
    ) -> None:
        self.conn = conn
        self.catalog = catalog
        self.now = now
        self.counters = dict(counters)
        self.changed: dict[tuple[str, str], Entry] = {}
        self.born: dict[str, Run] = {}
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.pools_changed = False
        self.admitted = False
        self.stops = False
        self._cache = cache
        self._fresh_keys: dict[str, int] = defaultdict(int)
        self.namespace = namespace
        self._decisions: dict[int, dict[str, Any]] = {}
        self._after: list[tuple[str, str, Input]] = []

    def number(self, kind: str) -> int:
        self.counters[kind] += 1
        return self.counters[kind]

    def tell(self, what: str, **facts: Any) -> None:
        self.told.append((what, facts))

    def entry(self, rule: CompiledRule, key: str) -> Entry:
        """The state as it is in this transaction, brought to the rule's present revision."""
        entry = self.known(rule.name, key)
        if entry is None:
            self._fresh_keys[rule.name] += bool(key)
            return Entry(self.number("state"), rule.revision, first_state(rule, key, self.now))
        if entry.revision != rule.revision:
            return Entry(entry.id, rule.revision, revise(rule, key, entry.state, self.now), entry.noted)
        return entry

    def known(self, rule: str, key: str) -> Entry | None:
        return self.changed.get((rule, key)) or self._cache.get(self.conn, rule, key)

    def keys(self, rule: str) -> int:
        return self._cache.keys(self.conn, rule) + self._fresh_keys[rule]

    def take(self, rule_name: str, key: str, given: Input) -> Step | None:
        """Fold an input in, with all that follows from it at once. None if there is no such rule (any more)."""
        done = self._take_one(rule_name, key, given)
        while self._after:
            self._take_one(*self._after.pop(0))
        return done

    def _take_one(self, rule_name: str, key: str, given: Input) -> Step | None:
        rule = self.catalog.rules.get(rule_name)
        if rule is None:
            return None
        entry = self.entry(rule, key)
        state, done = step(rule, entry.state, given, self.now)
        if not isinstance(given, Arrived):
            self._journal(rule_name, key, given)
        self.changed[rule_name, key] = replace(entry, state=state)
        run_of: dict[int, str] = {}
        for i, decision in enumerate(done.decisions):
            run_id = self._bear(rule, key, entry.id, decision) if decision.birth is not None else None
            if run_id is not None:
                run_of[i] = run_id
            self.changed[rule_name, key] = self._note(rule_name, key, self.changed[rule_name, key], decision, run_id)
        self._slots(rule_name, key, done, run_of)
        for due in done.fan_out:
            self.rows["fan_outs"].append({"rule": rule_name, "trigger": due.trigger, "slot": due.slot, "after": ""})
        if done.stop is not None:
            self._stop_live(rule_name, key, done.stop)
        return done

    def _bear(self, rule: CompiledRule, key: str, state_id: int, decision: Decision) -> str | None:
        """Stage the run; if it cannot have its parameters it is not born, and its inputs come back."""
        birth = decision.birth
        assert birth is not None  # noqa: S101 - for the type checker; the caller looked
        run_id = str(ULID.from_timestamp(self.now))
        if "inputs" in self.rows:
            self.flush_inputs()
        try:
            run = bear(self.conn, rule, key, state_id, birth, decision.reason, run_id, self.now, self.namespace)
        except ValueError as error:
            self._after.append((rule.name, key, Unrendered(birth, str(error))))
            return None
        if run.pool is None and run.not_before <= self.now:
            run = replace(run, admitted_at=self.now)
            self.admitted = True
        else:
            self.pools_changed = True
        self.born[run.id] = run
        self.tell("run.born", run=run)
        return run.id

    def flush_inputs(self) -> None:
        """A parameter may read the events that this very transaction brought."""
        writes.insert_all(self.conn, t.events, self.rows.pop("events", []))
        writes.insert_all(self.conn, t.inputs, self.rows.pop("inputs", []))

    def _note(self, rule: str, key: str, entry: Entry, decision: Decision, run: str | None) -> Entry:
        """Store the decision; one that equals the last one is folded into its row."""
        self.tell("decided", rule=rule, key=key, decision=decision, run=run)
        noted = entry.noted
        same = (
            noted is not None
            and decision.kind is not Kind.FIRE
            and (noted.decision.kind, noted.decision.reason) == (decision.kind, decision.reason)
        )
        if same and noted is not None:
            noted = Noted(noted.id, decision, noted.first_at, noted.count + 1)
        else:
            noted = Noted(self.number("decision"), decision, self.now, 1)
        self._decisions[noted.id] = {
            "id": noted.id,
            "rule": rule,
            "key": key,
            "decision": decision.kind.value,
            "reason": decision.reason.value,
            "detail": decision.detail,
            "until": decision.until,
            "run": run,
            "first_at": noted.first_at,
            "last_at": self.now,
            "count": noted.count,
            "seq": self.counters["seq"],
        }
        return replace(entry, noted=noted)

    def _slots(self, rule: str, key: str, done: Step, run_of: dict[int, str]) -> None:
        runs = [run_of.get(i) for i, d in enumerate(done.decisions) if d.birth is not None and d.birth.retry_of is None]
        seen: dict[str, int] = defaultdict(int)
        for record in done.slots:
            run = None
            reason, outcome = record.reason, record.outcome
            if outcome == "fired":
                run = runs[min(seen[record.trigger], len(runs) - 1)]
                seen[record.trigger] += 1
                if run is None:
                    reason, outcome = Reason.BAD_PARAMETERS, "skipped"
            self.record_slot(
                rule, key, SlotRecord(record.trigger, record.slot, outcome, reason, record.until, record.count), run
            )

    def record_slot(self, rule: str, key: str, record: SlotRecord, run: str | None) -> None:
        self.tell("slot", rule=rule, record=record)
        self.rows["slots"].append(
            {
                "rule": rule,
                "key": key,
                "trigger": record.trigger,
                "slot": record.slot,
                "until": record.until,
                "count": record.count,
                "outcome": record.outcome,
                "reason": record.reason.value,
                "run": run,
                "at": self.now,
            }
        )

    def _journal(self, rule: str, key: str, given: Input) -> None:
        seq = self.number("seq")
        payload = {n: v for n in type(given).__slots__ if isinstance(v := getattr(given, n), (str, int, float, bool))}
        self.rows["journal"].append(
            {
                "seq": seq,
                "at": self.now,
                "rule": rule,
                "key": key,
                "kind": type(given).__name__,
                "payload": dump(payload),
            }
        )

    def flush_runs(self) -> None:
        """What follows may concern a run that was born in this very transaction."""
        writes.insert_all(self.conn, t.runs, [run_to_row(run) for run in self.born.values()])
        self.born.clear()

    def _stop_live(self, rule: str, key: str, strategy: str) -> None:
        self.flush_runs()
        for run in writes.live_runs(self.conn, rule, key):
            self.stop_run(run, strategy, "replaced by a newer run")

    def stop_run(self, run: Run, strategy: str, why: str) -> None:
        """A durable request; a run that was not claimed yet ends at once."""
        writes.update_run(self.conn, run.id, stop_requested=strategy)
        if run.phase is RunPhase.PENDING:
            self.end_run(run, RunPhase.CANCELLED, why, by_request=True)
        else:
            self.stops = True

    def end_run(
        self, run: Run, phase: RunPhase, message: str, *, by_request: bool, gone: bool = False, **values: Any
    ) -> None:
        """The run's row and the rule's state change together. ``gone``: there is no Workflow (any more)."""
        released = gone or (run.uid is None and "uid" not in values)
        writes.update_run(
            self.conn,
            run.id,
            phase=phase.value,
            message=message,
            ended_at=self.now,
            lease_until=None,
            released=released,
            **values,
        )
        self.pools_changed = True
        self.tell("run.ended", run=run, phase=phase, message=message, values=values)
        taken = {name: window_from(w) for name, w in run.taken.items()}
        window = window_from(run.window) if run.window else Window()
        self._after.append((run.rule, run.key, Ended(run.id, phase, run.attempt, by_request, window, taken)))

    def adopt(self, run: Run) -> None:
        """Stage a run that somebody asked for by hand; it counts as on its way like any other."""
        self.flush_runs()
        self.born[run.id] = run
        self.pools_changed = True
        self.tell("run.born", run=run)
        self.take(run.rule, run.key, Reopened())

    def settle(self) -> None:
        """Fold in what acts left to be folded."""
        while self._after:
            self._take_one(*self._after.pop(0))

    def flush(self) -> None:
        """Write what was staged."""
        self.flush_inputs()
        for name in ("journal", "slots", "fan_outs", "dead_letters"):
            writes.insert_all(self.conn, t.metadata.tables[name], self.rows[name])
        self.flush_runs()
        writes.put_all(self.conn, t.decisions, list(self._decisions.values()))
        writes.put_all(self.conn, t.states, [self._state_row(where, entry) for where, entry in self.changed.items()])

    def _state_row(self, where: tuple[str, str], entry: Entry) -> dict[str, Any]:
        return {
            "id": entry.id,
            "rule": where[0],
            "key": where[1],
            "revision": entry.revision,
            "version": VERSION,
            "state": encode(entry.state),
            "wake_at": entry.state.wake_at,
            "touched_at": self.now,
        }
