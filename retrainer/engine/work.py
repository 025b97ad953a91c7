"""One transaction's worth of work: inputs are folded, what follows is staged, and written at the end in one go."""

from __future__ import annotations

from collections import ChainMap, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import orjson
import structlog

from retrainer.config.models import Budget
from retrainer.engine import budgets, distincts, editing, results
from retrainer.engine.births import Birthplace, bear
from retrainer.engine.cache import Cache, Entry, Noted
from retrainer.engine.followers import followers
from retrainer.rules.decide import step
from retrainer.rules.ends import orphaned
from retrainer.rules.fold import first_state, revise
from retrainer.rules.gather import Gathering
from retrainer.rules.outcome import (
    Arrived,
    Decision,
    Ended,
    Input,
    Kind,
    Manual,
    Reason,
    Reopened,
    Sampled,
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
    from collections.abc import Callable

    from sqlalchemy import Connection

    from retrainer.engine.catalog import Catalog
    from retrainer.event import Event
    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.gather import Single
    from retrainer.rules.limits import Allowance
    from retrainer.rules.state import State

log = structlog.get_logger()
HEARD_EVERY = 1.0
REPLACED = "replaced by a newer run"
"""Message of a run that made room for another one of its key."""


@dataclass(frozen=True, slots=True)
class Taken:
    """An event that is being taken in, and whom to tell if a rule cannot bear it."""

    item: Event
    raised: Callable[[Work, str, Exception], None]


class Work:
    """Lives for one transaction. ``told`` is what listeners (metrics, log) hear once it is committed."""

    def __init__(
        self,
        conn: Connection,
        catalog: Catalog,
        cache: Cache,
        counters: dict[str, int],
        now: float,
        birthplace: Birthplace,
    ) -> None:
        self.conn = conn
        self.catalog = catalog
        self.now = now
        self.counters = dict(counters)
        self.changed: dict[tuple[str, str], Entry] = {}
        self.forgotten: set[tuple[str, str]] = set()
        self.born: dict[str, Run] = {}
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
        self.events: list[tuple[Any, ...]] = []
        """Rows of the ledger, columns in order; like ``inputs``, as there may be many."""
        self.inputs: list[tuple[int, int]] = []
        self.heard: ChainMap[str, float] = ChainMap()
        """When something last came from a source, as it is stored; changes go into the first map."""
        self.pools_changed = False
        self.admitted = False
        self.stops = False
        self._cache = cache
        self._fresh_keys: dict[str, int] = defaultdict(int)
        self.birthplace = birthplace
        self._decisions: dict[int, dict[str, Any]] = {}
        self._after: list[tuple[str, str, Input]] = []
        self.polled: ChainMap[tuple[str, str], set[str]] = ChainMap()
        """Keys that had series of a metric in the last poll, by rule and trigger; changes go into the first map."""
        self._gathering: dict[tuple[str, str], tuple[Gathering, list[Taken]]] = {}

    def number(self, kind: str) -> int:
        self.counters[kind] += 1
        return self.counters[kind]

    def tell(self, what: str, **facts: Any) -> None:
        self.told.append((what, facts))

    def entry(self, rule: CompiledRule, key: str) -> Entry:
        """The state as it is in this transaction, brought to the rule's present revision."""
        if (rule.name, key) in self._gathering:
            return self.changed[rule.name, key]
        entry = self.known(rule.name, key)
        if entry is None:
            self._fresh_keys[rule.name] += bool(key)
            return Entry(self.number("state"), rule.revision, first_state(rule, key, self.now))
        if entry.revision != rule.revision:
            return self._revise(rule, key, entry)
        return entry

    def _revise(self, rule: CompiledRule, key: str, entry: Entry) -> Entry:
        stale = editing.stale(self.conn, rule, entry.revision)
        distincts.keep_only(self.conn, entry.id, rule.data.keys() - stale)
        state, records = revise(rule, key, entry.state, self.now, stale)
        for record in records:
            self.record_slot(rule.name, key, record, None)
        revised = self.changed[rule.name, key] = Entry(entry.id, rule.revision, state, entry.noted)
        return revised

    def forget(self, rule: str, key: str) -> None:
        """The key's state is about to be removed from the store, and leaves its room to another key at once."""
        self._cache.keys(self.conn, rule)  # counted before it goes
        self._fresh_keys[rule] -= 1
        self.forgotten.add((rule, key))

    def known(self, rule: str, key: str) -> Entry | None:
        entry = self.changed.get((rule, key))
        if entry is not None or (rule, key) in self.forgotten:
            return entry
        return self._cache.get(self.conn, rule, key)

    def keys(self, rule: str) -> int:
        return self._cache.keys(self.conn, rule) + self._fresh_keys[rule]

    def arrive(self, where: tuple[str, str], trigger: str, single: Single, taken: Taken) -> bool:
        """Add an event to what gathers for a trigger; false if it is one that has to be folded in by itself."""
        found = self._gathering.get(where)
        if found is None or found[0].trigger != trigger or not found[0].take(single):
            return False
        found[1][0] = taken
        return True

    def take_arrival(self, where: tuple[str, str], given: Arrived, taken: Taken) -> None:
        """Fold an event in. One that no rule can bear goes to the dead letters, the others are not touched."""
        entry = self.changed[where]
        try:
            done = self.take(*where, given)
        except Exception as error:
            log.exception("event.raised", source=taken.item.source, id=taken.item.id, rule=where[0])
            self.changed[where] = entry
            self.flush_inputs()
            writes.take_back_input(self.conn, entry.id, where, given.seq)
            taken.raised(self, where[0], error)
            return
        rule = self.catalog.rules[where[0]]
        gathering = Gathering.after(rule, self.changed[where].state, given, done) if done else None
        if gathering is not None:
            self._gathering[where] = (gathering, [taken])

    def settle_arrivals(self) -> None:
        """Fold in what has gathered."""
        for where in list(self._gathering):
            self._close(where)

    def _close(self, where: tuple[str, str]) -> None:
        found = self._gathering.pop(where, None)
        if found is None:
            return
        gathering, (taken,) = found
        entry = self.changed[where]
        state, last = gathering.close(entry.state, self.now)
        if last is None:
            return
        noted = entry.noted
        if noted is not None and gathering.absorbed:
            noted = replace(noted, count=noted.count + gathering.absorbed)
            self.tell(
                "decided", rule=where[0], key=where[1], decision=noted.decision, run=None, count=gathering.absorbed
            )
        self.changed[where] = replace(entry, state=state, noted=noted)
        self.take_arrival(where, last, taken)
        self._gathering.pop(where, None)

    def take(self, rule_name: str, key: str, given: Input) -> Step | None:
        """Fold an input in, with all that follows from it at once. None if there is no such rule (any more)."""
        self._close((rule_name, key))
        done = self._take_one(rule_name, key, given)
        while self._after:
            self._take_one(*self._after.pop(0))
        return done

    def _take_one(self, rule_name: str, key: str, given: Input) -> Step | None:
        rule = self.catalog.rules.get(rule_name)
        if rule is None:
            self._orphaned(rule_name, key, given)
            return None
        entry = self.entry(rule, key)
        chain = self._chain(given) if isinstance(given, Ended) else ""
        if isinstance(given, Ended):
            given = replace(given, recounted=distincts.recounted(self.conn, chain))
        state, done = step(rule.of_key(key), entry.state, given, self.now, self._allowance(rule))
        if isinstance(given, Ended):
            self._chain_ended(rule, given, chain, done)
        if not isinstance(given, (Arrived, Sampled)):  # which stand in the ledger
            self._journal(rule_name, key, given)
        self.changed[rule_name, key] = Entry(entry.id, entry.revision, state, entry.noted)
        run_of: dict[int, str] = {}
        for i, decision in enumerate(done.decisions):
            run_id = self._bear(rule, key, entry.id, decision) if decision.birth is not None else None
            if decision.kind is Kind.FIRE and decision.birth is None:  # in shadow nobody gives anything back
                distincts.drop(self.conn, entry.id)
            if run_id is not None:
                run_of[i] = run_id
            self.changed[rule_name, key] = self._note(rule_name, key, self.changed[rule_name, key], decision, run_id)
        self._slots(rule_name, key, done, run_of)
        for due in done.fan_out:
            self.rows["fan_outs"].append({"rule": rule_name, "trigger": due.trigger, "slot": due.slot, "after": ""})
        if done.stop is not None:
            self._stop_live(rule_name, key, done.stop)
        return done

    def _orphaned(self, rule: str, key: str, given: Input) -> None:
        """The rule is gone. Its state waits for it to come back: a run that ends meanwhile is in nobody's way then."""
        entry = self.known(rule, key)
        if entry is None or not isinstance(given, Ended):
            return
        chain = self._chain(given)
        given = replace(given, recounted=distincts.recounted(self.conn, chain))
        self.changed[rule, key] = replace(entry, state=orphaned(entry.state, given, self.now))
        (distincts.spend if given.phase is RunPhase.SUCCEEDED else distincts.give_back)(self.conn, chain)

    def _chain(self, given: Ended) -> str:
        run = writes.run(self.conn, given.run)
        return run.chain if run is not None else given.run

    def _allowance(self, rule: CompiledRule) -> Allowance | None:
        if not isinstance(rule.rule.limits.budget, Budget):
            return None  # a shared one is admission's
        self.flush_runs()
        return budgets.of_rule(self.conn, rule, self.now)

    def _chain_ended(self, rule: CompiledRule, given: Ended, chain: str, done: Step) -> None:
        """Settle what hangs on a chain, unless another attempt follows; before a run that is born now takes any of it.

        What it counted by `distinct_by` goes where its window went, and rules that follow are told.
        """
        if any(d.birth is not None and d.birth.retry_of is not None for d in done.decisions):
            return
        run = writes.run(self.conn, given.run)
        if run is not None:
            self._after += followers(self, run)
        spent = given.phase is RunPhase.SUCCEEDED or rule.rule.submit.consume == "fired"
        (distincts.spend if spent else distincts.give_back)(self.conn, chain)

    def _bear(self, rule: CompiledRule, key: str, state_id: int, decision: Decision) -> str | None:
        """Stage the run; if it cannot have its parameters it is not born, and its inputs come back."""
        birth = decision.birth
        assert birth is not None  # noqa: S101 - for the type checker; the caller looked
        run_id = self.birthplace.new_id(rule.name, key, self.now)
        self.flush_inputs()
        try:
            run = bear(self.conn, rule, key, state_id, decision, run_id, self.now, self.birthplace)
        except ValueError as error:
            self._after.append((rule.name, key, Unrendered(birth, str(error))))
            return None
        if run.pool is None and run.not_before <= self.now and not budgets.name_of(rule):
            run = replace(run, admitted_at=self.now)
        else:
            self.pools_changed = True
        self.born[run.id] = run
        if run.retry_of is None and rule.distinct:
            distincts.give_to(self.conn, state_id, run.chain)
        self.tell("run.born", run=run)
        return run.id

    def hear(self, source: str) -> None:
        """Something came. It is written once a second: whoever waits for a silence waits for hours."""
        if self.now >= self.heard.get(source, 0.0) + HEARD_EVERY:
            self.heard[source] = self.now

    def flush_inputs(self) -> None:
        """A parameter may read the events that this very transaction brought."""
        writes.append_all(self.conn, t.events, self.events)
        writes.append_all(self.conn, t.inputs, self.inputs)
        self.events.clear()
        self.inputs.clear()

    def _note(self, rule: str, key: str, entry: Entry, decision: Decision, run: str | None) -> Entry:
        """Store the decision; one that equals the last one is folded into its row."""
        self.tell("decided", rule=rule, key=key, decision=decision, run=run, count=1)
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
        return Entry(entry.id, entry.revision, entry.state, noted)

    def absorb(self, where: tuple[str, str], state: State, decision: Decision, more: int, first_at: float) -> None:
        """Several inputs in a row since ``first_at``, one and so many more, lead to this state, all answered alike."""
        entry = self.entry(self.catalog.rules[where[0]], where[1])
        self.changed[where] = self._note(*where, Entry(entry.id, entry.revision, state, entry.noted), decision, None)
        self.repeated(where, more, first_at)

    def repeated(self, where: tuple[str, str], more: int, first_at: float) -> None:
        """The last decision was reached so many times more, in a row since ``first_at``."""
        entry = self.changed[where]
        noted = entry.noted
        assert noted is not None  # noqa: S101 - for the type checker; the caller has just decided something
        noted = replace(noted, first_at=first_at if noted.count == 1 else noted.first_at, count=noted.count + more)
        self.changed[where] = replace(entry, noted=noted)
        self._decisions[noted.id] |= {"first_at": noted.first_at, "count": noted.count}

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
        payload = {n: v for n in type(given).__slots__ if isinstance(v := getattr(given, n), (str, int, float, bool))}
        asked = {"parameters": dict(given.parameters)} if isinstance(given, Manual) else {}
        self.note(type(given).__name__, rule, key, {**payload, **asked})

    def note(self, kind: str, rule: str, key: str, payload: dict[str, Any]) -> None:
        """Write into the journal: with the events it is all that is needed to decide everything once more."""
        row = {"seq": self.number("seq"), "at": self.now, "rule": rule, "key": key, "kind": kind}
        self.rows["journal"].append({**row, "payload": dump(payload)})

    def flush_runs(self) -> None:
        """What follows may concern a run that was born in this very transaction."""
        waits = any(r.phase is RunPhase.PENDING and r.admitted_at is not None for r in self.born.values())
        self.admitted = self.admitted or waits
        writes.insert_all(self.conn, t.runs, [run_to_row(run) for run in self.born.values()])
        self.born.clear()

    def _stop_live(self, rule: str, key: str, strategy: str) -> None:
        self.flush_runs()
        for run in writes.live_runs(self.conn, rule, key):
            self.stop_run(run, strategy, REPLACED)

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
        rule = self.catalog.rules.get(run.rule)
        outputs, resources = (orjson.loads(values.get(name, "{}")) for name in ("outputs", "resources"))
        promoted, hours = results.promoted(rule, phase, outputs), results.gpu_hours(rule, outputs, resources)
        writes.update_run(
            self.conn,
            run.id,
            phase=phase.value,
            message=message,
            ended_at=self.now,
            lease_until=None,
            released=released,
            promoted=promoted,
            gpu_hours=hours,
            **values,
        )
        self.pools_changed = True
        facts = {"message": message, "values": values, "promoted": promoted, "gpu_hours": hours}
        self.tell("run.ended", run=run, phase=phase, **facts)
        taken = {name: window_from(w) for name, w in run.taken.items()}
        window = window_from(run.window) if run.window else Window()
        by = tuple(run.cause.get("triggers") or ())
        ended = Ended(run.id, phase, run.attempt, by_request, window, taken, promoted=promoted, triggers=by)
        self._after.append((run.rule, run.key, ended))

    def adopt(self, run: Run) -> None:
        """Stage a run that somebody asked for by hand; it counts as on its way like any other."""
        self.flush_runs()
        self.born[run.id] = run
        self.pools_changed = True
        self.tell("run.born", run=run)
        self.take(run.rule, run.key, Reopened(run.id))

    def settle(self) -> None:
        """Fold in what acts left to be folded."""
        while self._after:
            self._take_one(*self._after.pop(0))

    def flush(self) -> None:
        """Write what was staged."""
        self.flush_inputs()
        for source, at in self.heard.maps[0].items():
            writes.heard_of(self.conn, source, at)
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
