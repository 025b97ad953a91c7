"""Downstream rules: pass the end of a chain to the rules whose `after` triggers follow it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from retrainer.engine.core.containment import one_by_one
from retrainer.engine.core.notifications import InputLeftOut
from retrainer.engine.schedules.every_key import addressed
from retrainer.rules.outcome import Input, UpstreamEnded
from retrainer.runs.run import Run, RunPhase

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from retrainer.engine.core.transaction import Transaction
    from retrainer.engine.schedules.spread import EveryKey
    from retrainer.rules.triggers.after import CompiledAfter

log = structlog.get_logger()
_ENDS = {
    "succeeded": frozenset({RunPhase.SUCCEEDED}),
    "failed": frozenset({RunPhase.FAILED, RunPhase.ERROR, RunPhase.UNKNOWN}),
}


def followers(tx: Transaction, run: Run, *, promoted_later: bool = False) -> list[tuple[str, str, Input | EveryKey]]:
    """Return the inputs (rule, key, input) that follow from the end of a run.

    ``promoted_later``: the run ended earlier and is promoted now; only triggers for `promoted` follow.
    """
    found: list[tuple[str, str, Input | EveryKey]] = []

    def follow(afters: Iterable[CompiledAfter]) -> None:
        for after in afters:
            if (not promoted_later or after.after.outcome == "promoted") and _as_wanted(after, run):
                addressed = _addressed(tx, after, run, UpstreamEnded(after.name, run.id))
                found.extend((after.rule, key, given) for key, given in addressed)

    def raised(after: CompiledAfter, error: Exception) -> None:
        log.error("input.left_out", rule=after.rule, key=run.key, input=UpstreamEnded.__name__, exc_info=error)
        tx.writes.emit(InputLeftOut(UpstreamEnded.__name__))

    one_by_one(tx, tx.catalog.followers.get(run.rule, ()), follow, raised)
    return found


def upstream_scope(run: Run) -> dict[str, Any]:
    """Return the expression variable `upstream` for a run."""
    return {
        "id": run.id,
        "rule": run.rule,
        "key": run.key,
        "phase": run.phase.value,
        "outputs": dict(run.outputs),
        "parameters": dict(run.parameters),
    }


def _as_wanted(after: CompiledAfter, run: Run) -> bool:
    outcome = after.after.outcome
    if outcome == "promoted" and run.promoted is not True:
        return False
    if outcome in _ENDS and run.phase not in _ENDS[outcome]:
        return False
    if after.where is None:
        return True
    try:
        return after.where.evaluate({"upstream": upstream_scope(run)}) is True
    except ValueError as error:
        log.warning("after.where_failed", rule=after.rule, trigger=after.name, run=run.id, error=str(error))
        return False


def _addressed(
    tx: Transaction, after: CompiledAfter, run: Run, followed: UpstreamEnded
) -> Sequence[tuple[str, Input | EveryKey]]:
    """Return (key, input) pairs. The key of the run carries over; a run without a key concerns every live key."""
    if not tx.catalog.rules[after.rule].per_key:
        return [("", followed)]
    return [(run.key, followed)] if run.key else addressed(tx, after.rule, followed)
