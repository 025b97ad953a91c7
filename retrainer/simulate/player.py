"""Replay a history with rules. With the rules that recorded it, the result is the same decisions and runs.

A live engine is always slightly late, and the journal has the actual times. An action that is due is therefore delayed
to the next recorded time if the journal shows that it was done then. Between recorded times, everything is on time.
"""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from retrainer.engine.commands import feedback, operator_commands
from retrainer.engine.core import journal
from retrainer.engine.core.catalog import build_catalog
from retrainer.engine.core.containment import Care
from retrainer.engine.core.queue import BATCH
from retrainer.engine.core.transaction_budget import KEYS
from retrainer.engine.intake.events import REPLAYED, take_in
from retrainer.engine.runs.endings import REPLACED, end_run
from retrainer.rules.outcome import Imported, Reopened, Resumed
from retrainer.runs.run import RunPhase
from retrainer.simulate.event_coalescing import EventCoalescer
from retrainer.simulate.groups import ADMITTED, Groups
from retrainer.simulate.poll_coalescing import split
from retrainer.simulate.recorded_runs import RecordedRuns
from retrainer.simulate.run_script import RunBehaviour
from retrainer.simulate.world import World
from retrainer.sources.base import Batch, ReplayScope
from retrainer.store import run_statements, statements
from retrainer.store.rows import dump

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from retrainer.config.configuration import Configuration
    from retrainer.engine.core.transaction import Transaction
    from retrainer.runs.run import Run
    from retrainer.simulate.groups import RuleGroup
    from retrainer.simulate.history import History, HistoryRecord
    from retrainer.simulate.ranges import Range

_BY_ITSELF = frozenset(("Wake", "SlotDue"))
"""Kinds of journal entries for timed actions of the engine."""
_LONGEST = 366 * 86400.0
"""Maximum seconds that are simulated after the last input."""


def in_steps(
    steps: int, begin: float, end: float, report: Callable[[float, float, int], None]
) -> Callable[[float, int], None]:
    """Return a ``progress`` for `Player` that calls ``report`` about ``steps`` times between two times.

    It gets the time reached, its share of the period, and the event count.
    """
    reported = -1

    def progress(at: float, events: int) -> None:
        nonlocal reported
        share = min(max(at - begin, 0.0) / (end - begin), 1.0) if end > begin else 1.0
        if int(share * steps) > reported:
            reported = int(share * steps)
            report(at, share, events)

    return progress


class Player:
    """Plays a history once, from the first record. ``progress`` is called with the time reached and the event count."""

    def __init__(
        self,
        configuration: Configuration,
        history: History,
        *,
        run_duration: float,
        ranges: Sequence[Range] = (),
        progress: Callable[[float, int], None] = lambda *_: None,
        care: Care = Care.NEVER,
    ) -> None:
        self._past = RecordedRuns(history.runs, run_duration)
        catalog = build_catalog(configuration, frozenset())
        metrics = split(catalog, ranges)
        self._coalescer = EventCoalescer(catalog, metrics.followed)
        self._followers = {rule: [a.rule for a in afters] for rule, afters in catalog.followers.items()}
        self._groups = Groups(history, metrics)
        first = self._groups.peek()
        self._sources = frozenset(configuration.sources)
        self._unchanged = _unchanged(configuration, history)
        self._afterwards: list[tuple[str, Any]] = []
        self._progress, self._events = progress, 0
        self.world = World(
            configuration,
            first.at if first is not None else 0.0,
            RunBehaviour(self._past.going, self._starting, self._stopping),
            new_id=self._past.new_id,
            care=care,
        )

    def play(self, until: float = float("inf")) -> None:
        """Play all records up to and including ``until`` (epoch seconds), and advance the time to it."""
        last = self.world.now
        while (group := self._groups.peek()) is not None and group.at <= until:
            self._pass_time(group)
            self._prepare_waking(group.at)
            self.world.clock.time = max(self.world.now, group.at)
            self.world.act(self._span)
            if self._afterwards:
                self.world.act(self._end_afterwards)
            self._admit_now(group)
            last = self.world.now
            self._progress(last, self._events)
        self._to_the_end(last if until == float("inf") else min(max(until, last), last + _LONGEST))

    def _to_the_end(self, end: float) -> None:
        while (moment := self.world.next_moment()) is not None and moment <= end:
            self._prepare(moment)
            self.world.happen(moment)
        self.world.clock.time = max(self.world.now, end)
        self.world.act(lambda tx: self._coalescer.catch_up(tx, self._coalescer.of, end + 0.001))
        self.world.act(self._coalescer.pages.write)

    # -- time ------------------------------------------------------------------------------------------------------

    def _pass_time(self, group: RuleGroup) -> None:
        """Do what is due before the group, unless the live engine was late and did it together with the group."""
        woken = {record.rule for record in group.records if record.kind in _BY_ITSELF} & self._unchanged
        while (moment := self.world.next_moment()) is not None and moment < group.at:
            if self.world.next_end() != moment and self._late(moment, woken, group.at):
                return
            self._prepare(moment)
            self.world.happen(moment)

    def _prepare(self, moment: float) -> None:
        """Before a timed action, fold the earlier polls of the rules that it concerns.

        Order at one time: wake-ups of states, then polls, then ends of simulated runs.
        """
        self._prepare_waking(moment)
        ended = {run.rule for run in self.world.ending(moment)}
        if ended:
            self.world.wake_up(moment)
            self._bring_up(self._concerned(ended), math.nextafter(moment, math.inf))

    def _prepare_waking(self, moment: float) -> None:
        wake = self.world.engine.next_wake
        if wake is not None and wake <= moment:
            due = self.world.store.read(lambda conn: statements.due_states(conn, moment, KEYS))
            self._bring_up({rule for rule, _ in due}, moment)

    def _concerned(self, rules: Iterable[str]) -> set[str]:
        """Return these rules and the rules that are downstream of them."""
        return {name for rule in rules for name in (rule, *self._followers.get(rule, ()))}

    def _bring_up(self, rules: Iterable[str], before: float) -> None:
        behind = self._coalescer.behind(rules, before)
        if behind:
            self.world.act(lambda tx: self._coalescer.catch_up(tx, behind, before))

    def _late(self, moment: float, woken: set[str], at: float) -> bool:
        """Whether the live engine did what is due at ``moment`` not before ``at``, the time of the next group."""

        def find(conn: Any) -> bool:
            due = {rule for rule, _ in statements.due_states(conn, moment, KEYS)}
            due |= {row.rule for row in statements.fan_outs(conn)}
            if due:
                return bool(due & woken)
            waiting = [self._past.by_id.get(run) for run in run_statements.waiting_ids(conn)]
            return any(run is not None and (run.admitted_at is None or run.admitted_at >= at) for run in waiting)

        return self.world.store.read(find)

    def _admit_now(self, group: RuleGroup) -> None:
        """Admit due runs in the transaction after the one in which they became due."""
        if any(record.kind == ADMITTED for record in group.records):
            while (moment := self.world.next_moment()) is not None and moment <= self.world.now:
                self._prepare(moment)
                self.world.happen(moment)

    # -- inputs ----------------------------------------------------------------------------------------------------

    def _span(self, tx: Transaction) -> None:
        """Fold a group, and following groups while nothing else happens before them, in one transaction."""
        wake, end = self.world.engine.next_wake, self.world.next_end()
        alone = wake is not None and wake <= tx.now  # woken states do not have their next wake-up yet
        horizon = min((m for m in (wake, end) if m is not None), default=float("inf"))
        taken = 0
        while (group := self._groups.peek()) is not None:
            if taken and (alone or group.at >= horizon or taken >= BATCH or _noteworthy(tx)):
                return
            self._groups.take()
            tx.now = self.world.clock.time = max(tx.now, group.at)
            decided = len(tx.states.decided)
            self._take(tx, group)
            if len(tx.states.decided) > decided:
                horizon = min(horizon, *_wakes(tx, decided), float("inf"))
            taken += len(group.records)
            if any(record.event is None and record.poll is None for record in group.records):
                return  # it may have changed wake-ups of states without a decision, which are not tracked here

    def _take(self, tx: Transaction, group: RuleGroup) -> None:
        scope: ReplayScope | None = None
        waiting: list[Batch] = []
        for record in group.records:
            if record.poll is not None:
                _take_in(tx, waiting)
                self._coalescer.catch_up(tx, (record.poll[0].rule.name,), record.at)
                record.poll[0].fold(tx, record.poll[1])
                continue
            if record.event is not None:
                self._events += 1
                if scope is None and not waiting and self._coalescer.take(tx, record.event):
                    continue
                if record.event.source in self._sources:
                    self._coalescer.catch_up(tx, self._coalescer.wanting(tx.catalog, record.event), tx.now)
                    waiting.append(Batch(record.event.source, [record.event], identity_window=0, replay_scope=scope))
                scope = None
                continue
            if record.kind == REPLAYED:
                scope = ReplayScope(frozenset(record.payload["rules"]), levels=bool(record.payload.get("levels")))
                continue
            _take_in(tx, waiting)
            self._input(tx, record)
            tx.settle()
        _take_in(tx, waiting)

    def _input(self, tx: Transaction, record: HistoryRecord) -> None:
        rule, key, payload = record.rule, record.key, record.payload
        if rule not in tx.catalog.rules:
            return
        self._coalescer.catch_up(tx, self._concerned((rule,)), tx.now)
        if record.kind == "Ended":
            self._ended(tx, rule, payload)
        elif record.kind == "PromotionReported":
            with suppress(LookupError, ValueError):  # these rules did not start the run, or it ended differently
                feedback.judge(tx, payload["run"], promoted=bool(payload["promoted"]))
        elif record.kind == "Reopened":
            self._reopened(tx, rule, key, payload)
        else:
            _by_hand(tx, record)

    def _ended(self, tx: Transaction, rule: str, payload: Any, *, last: bool = False) -> None:
        tx.writes.flush_runs()
        run, recorded = run_statements.run(tx.conn, payload["run"]), self._past.by_id.get(payload["run"])
        if run is None or run.phase.terminal or recorded is None:
            return
        if recorded.submitted_at is None and recorded.message == REPLACED and not last:
            self._afterwards.append((rule, payload))  # the rest of this turn may end it
            return
        values: dict[str, Any] = {"outputs": dump(recorded.outputs), "resources": dump(recorded.resources)}
        if recorded.uid is not None:
            values["uid"] = recorded.uid
        phase = RunPhase(payload["phase"])
        end_run(tx, run, phase, recorded.message, by_request=bool(payload.get("by_request")), **values)

    def _end_afterwards(self, tx: Transaction) -> None:
        for rule, payload in self._afterwards:
            self._coalescer.catch_up(tx, self._concerned((rule,)), tx.now)
            self._ended(tx, rule, payload, last=True)
        self._afterwards = []

    def _reopened(self, tx: Transaction, rule: str, key: str, payload: Any) -> None:
        tx.writes.flush_runs()
        again = self._past.by_id.get(payload.get("run", ""))
        run = run_statements.run(tx.conn, payload.get("run", ""))
        if run is not None and run.phase.terminal:
            run_statements.update_run(tx.conn, run.id, phase="RUNNING", ended_at=None, taken="{}", window="{}")
            tx.take(rule, key, Reopened(run.id))
        elif again is not None and again.retry_of is not None:
            with suppress(LookupError, ValueError):  # these rules did not start the run that was retried
                operator_commands.retry(tx, again.retry_of)

    # -- course of runs --------------------------------------------------------------------------------------------

    def _starting(self, run: Run) -> bool:
        """Return False for a run that never reached the cluster. Its end is in the history."""
        recorded = self._past.by_id.get(run.id)
        return recorded is None or recorded.submitted_at is not None

    def _stopping(self, run: Run) -> bool:
        if run.id in self._past.by_id:
            return False
        self._bring_up(self._concerned((run.rule,)), math.nextafter(self.world.now, math.inf))
        return True


def _take_in(tx: Transaction, waiting: list[Batch]) -> None:
    if waiting:
        take_in(tx, waiting)
        waiting.clear()


def _by_hand(tx: Transaction, record: HistoryRecord) -> None:
    rule, key, payload = record.rule, record.key, record.payload
    if record.kind in journal.ASKED:
        tx.take(rule, key, journal.asked_again(record.kind, payload))
    elif record.kind == "Imported":
        tx.take(rule, key, Imported(payload.get("succeeded_at"), payload.get("promoted_at")))
    elif record.kind == operator_commands.PAUSED:
        operator_commands.pause(tx, rule, str(payload.get("note", "")))
    elif record.kind == "Resumed":
        statements.unpause(tx.conn, rule)
        tx.catalog = tx.catalog.paused(rule, by_hand=False)
        tx.take(rule, key, Resumed())


def _noteworthy(tx: Transaction) -> bool:
    return (
        tx.writes.admitted
        or tx.pools_changed
        or tx.stops
        or bool(tx.writes.rows.get("fan_outs"))
        or bool(tx.writes.created)
    )


def _wakes(tx: Transaction, before: int) -> Iterator[float]:
    """Yield the wake-ups of the states that were just evaluated: those decided on after the first ``before``."""
    for where in tx.states.decided[before:]:
        entry = tx.states.changed.get(where)
        if entry is not None and entry.state.wake_at is not None:
            yield entry.state.wake_at


def _unchanged(configuration: Configuration, history: History) -> frozenset[str]:
    """Return the rules with the revision of the history; also those whose recorded revision is unknown."""
    last: dict[str, str] = {run.rule: run.revision for run in history.runs}
    return frozenset(
        rule.name
        for rule in configuration.rules
        if last.get(rule.name) in (None, configuration.rule_revision(rule.name))
    )
