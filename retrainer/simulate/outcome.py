"""The outcome of a simulation, and the differences between two outcomes."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import chain
from operator import attrgetter
from sys import intern
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import orjson

from retrainer.util import gc_tuning

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from retrainer.store.base import Store

SAME = 60.0
"""Runs of one rule and key that are created at most so many seconds apart are considered the same run."""


@dataclass(frozen=True, slots=True)
class PlayedRun:
    """A simulated run. Times are epoch seconds; ``gpu_hours`` is None until the run has ended."""

    rule: str
    key: str
    at: float
    trigger: str
    reason: str
    detail: str
    attempt: int
    phase: str
    started_at: float | None
    ended_at: float | None
    gpu_hours: float | None


class RecordedDecision(NamedTuple):
    """``times`` consecutive equal decisions, from ``first_at`` to ``last_at``. There may be millions of records."""

    rule: str
    key: str
    decision: str
    reason: str
    detail: str
    first_at: float
    last_at: float
    times: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """All runs by time of creation, and all decisions in order."""

    runs: tuple[PlayedRun, ...]
    decisions: tuple[RecordedDecision, ...]

    def within(self, since: float, until: float) -> Outcome:
        """Return the runs created, and the decisions made, from ``since`` up to and including ``until``."""
        runs = tuple(run for run in self.runs if since <= run.at <= until)
        return Outcome(runs, tuple(d for d in self.decisions if d.last_at >= since and d.first_at <= until))


@dataclass(frozen=True, slots=True)
class Difference:
    """A run that only one side has; ``why`` is the other side's last decision before it."""

    at: float
    rule: str
    key: str
    sign: str
    reason: str
    why: str


@dataclass(slots=True)
class Totals:
    runs: int = 0
    run_hours: float = 0.0
    """Total duration of ended runs, from their start."""
    gpu_hours: float = 0.0
    phases: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    reasons: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    held: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Number of Hold and Skip decisions, by reason."""


def read(store: Store) -> Outcome:
    """Read the outcome from a store."""

    def find(conn: Any) -> Outcome:
        runs = conn.exec_driver_sql(
            "SELECT rule, key, created_at, trigger, reason, cause, attempt, phase, admitted_at, ended_at, gpu_hours"
            " FROM runs ORDER BY created_at, id"
        )
        decisions = conn.exec_driver_sql(
            "SELECT rule, key, decision, reason, detail, first_at, last_at, count FROM decisions ORDER BY id"
        )
        noted = [_noted(*row) for row in decisions.cursor]
        return Outcome(tuple(map(_run, runs)), (*noted, *_letters(conn)))

    with gc_tuning.undisturbed():
        return store.read(find)


def _letters(conn: Any) -> list[RecordedDecision]:
    """Return dead letters as decisions: otherwise a rule that fails on every event would not be listed at all."""
    letters = conn.exec_driver_sql(
        "SELECT rule, '', 'dead_letter', 'dead_letter', error, min(at), max(at), count(*) FROM dead_letters"
        " WHERE rule <> '' GROUP BY rule, error ORDER BY rule, error"
    )
    return [_noted(*row) for row in letters.cursor]


def _noted(rule: str, key: str, decision: str, reason: str, *rest: Any) -> RecordedDecision:
    """Return a decision with interned strings: this halves memory and the data passed between processes."""
    return RecordedDecision(intern(rule), intern(key), intern(decision), intern(reason), *rest)


def _run(row: Sequence[Any]) -> PlayedRun:
    rule, key, at, trigger, reason, cause, *rest = row
    return PlayedRun(rule, key, at, trigger, reason, orjson.loads(cause).get("detail", ""), *rest)


def joined(parts: Iterable[Outcome]) -> Outcome:
    """Merge the outcomes of independent rules."""
    found = list(parts)
    runs = sorted((run for part in found for run in part.runs), key=lambda run: (run.at, run.rule, run.key))
    decisions = sorted(chain.from_iterable(part.decisions for part in found), key=_ORDER)
    return Outcome(tuple(runs), tuple(decisions))


def totals(outcome: Outcome) -> dict[str, Totals]:
    """Return totals by rule."""
    found: dict[str, Totals] = defaultdict(Totals)
    for run in outcome.runs:
        one = found[run.rule]
        one.runs += 1
        if run.started_at is not None and run.ended_at is not None:
            one.run_hours += (run.ended_at - run.started_at) / 3600
        one.gpu_hours += run.gpu_hours or 0.0
        one.phases[run.phase] += 1
        one.reasons[run.reason] += 1
    for decision in outcome.decisions:
        if decision.decision != "fire":
            found[decision.rule].held[decision.reason] += decision.times
    return found


def differences(current: Outcome, proposed: Outcome) -> list[Difference]:
    """Return the runs that only one outcome has, by time, each with the decision of the other."""
    left = _by_key(current.runs)
    added: list[PlayedRun] = []
    for run in proposed.runs:
        near = next((other for other in left[run.rule, run.key] if abs(other.at - run.at) <= SAME), None)
        if near is None:
            added.append(run)
        else:
            left[run.rule, run.key].remove(near)
    gone = [run for runs in left.values() for run in runs]
    of_current, of_proposed = _by_key(current.decisions), _by_key(proposed.decisions)
    found = [Difference(r.at, r.rule, r.key, "+", r.reason, _why(of_current, r)) for r in added]
    found += [Difference(r.at, r.rule, r.key, "-", r.reason, _why(of_proposed, r)) for r in gone]
    return sorted(found, key=lambda d: (d.at, d.rule, d.key, d.sign))


_ORDER = attrgetter("first_at", "rule", "key")
_R = TypeVar("_R", PlayedRun, RecordedDecision)


def _by_key(records: Iterable[_R]) -> dict[tuple[str, str], list[_R]]:
    found: dict[tuple[str, str], list[_R]] = defaultdict(list)
    for record in records:
        found[record.rule, record.key].append(record)
    return found


def _why(decisions: Mapping[tuple[str, str], list[RecordedDecision]], run: PlayedRun) -> str:
    """Return the last decision before the run was created, with its detail unless it was updated later."""
    before = [d for d in decisions.get((run.rule, run.key), ()) if d.first_at <= run.at + 1]
    if not before:
        return "no earlier decision"
    last = before[-1]
    return f"{last.decision} {last.reason}" + (f": {last.detail}" if last.detail and last.last_at <= run.at + 1 else "")
