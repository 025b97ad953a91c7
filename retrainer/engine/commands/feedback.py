"""External feedback about models: whether one was promoted, and when models were last trained."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from retrainer.engine.commands.validation import run_of
from retrainer.engine.core.notifications import PromotionRecorded
from retrainer.engine.intake.matching import too_many
from retrainer.engine.runs.downstream import followers
from retrainer.rules.outcome import Imported, PromotionReported
from retrainer.runs.acts import why_no_feedback
from retrainer.store import run_statements

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from retrainer.engine.core.transaction import Transaction


AHEAD = 300.0
"""Seconds by which the clock of a client that imports ages may be ahead of this one."""


def judge(tx: Transaction, run_id: str, *, promoted: bool) -> None:
    """Record whether a run's model was promoted.

    Raise LookupError if there is no such run, ValueError if it did not succeed.
    """
    run = run_of(tx, run_id)
    if why := why_no_feedback(run):
        raise ValueError(why)
    if run.promoted == promoted:
        return
    run_statements.update_run(tx.conn, run_id, promoted=promoted)
    tx.take(run.rule, run.key, PromotionReported(run_id, promoted))
    tx.writes.emit(PromotionRecorded(run, promoted))
    if promoted:
        for where in followers(tx, replace(run, promoted=True), promoted_later=True):
            tx.take(*where)


def import_ages(tx: Transaction, ages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Import when models were last trained. Invalid lines are returned with their errors; the others are imported."""
    failed = []
    for i, age in enumerate(ages, 1):
        rule, key = tx.catalog.rules.get(age["rule"]), age["key"]
        if rule is None:
            failed.append({"line": i, "error": f"there is no rule {age['rule']!r}"})
        elif rule.per_key != bool(key):
            way_out = "name one" if rule.per_key else "leave `key` empty"
            failed.append({"line": i, "error": f"{rule.name} has {'' if rule.per_key else 'no '}keys: {way_out}"})
        elif any(age[name] is not None and age[name] > tx.now + AHEAD for name in ("succeeded_at", "promoted_at")):
            failed.append({"line": i, "error": "a time in the future"})
        elif key and too_many(tx, (rule.name, key)):
            failed.append({"line": i, "error": f"key {key!r} would exceed max_keys"})
        else:
            tx.take(rule.name, key, Imported(age["succeeded_at"], age["promoted_at"]))
    return {"imported": len(ages) - len(failed), "failed": failed}
