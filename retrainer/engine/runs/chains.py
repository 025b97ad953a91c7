"""Effects of the end of a chain (a run and its retries): its `distinct_by` values and the downstream rules."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from retrainer.engine.intake import distinct_by
from retrainer.engine.runs.downstream import followers
from retrainer.runs.run import RunPhase
from retrainer.store import run_statements

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from retrainer.engine.core.transaction import Transaction
    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.outcome import Ended, Step


def recounted(conn: Connection, given: Ended) -> Ended:
    """Return ``given`` with the counts of its chain's values that have arrived again since."""
    return replace(given, recounted=distinct_by.recounted(conn, _chain(conn, given)))


def ended(tx: Transaction, rule: CompiledRule, given: Ended, done: Step) -> None:
    """Settle the chain and notify downstream rules, unless ``done`` starts another attempt.

    Must be called before a run created in the same step takes any of the returned values.
    """
    if any(d.new_run is not None and d.new_run.retry_of is not None for d in done.decisions):
        return
    run = run_statements.run(tx.conn, given.run)
    if run is not None:
        tx.after += followers(tx, run)
    settle(tx.conn, given, spent=given.phase is RunPhase.SUCCEEDED or rule.rule.submit.inputs_on_failure == "keep")


def settle(conn: Connection, given: Ended, *, spent: bool) -> None:
    """Consume the `distinct_by` values of the chain, or return them to the pending window, as its window is."""
    (distinct_by.spend if spent else distinct_by.give_back)(conn, _chain(conn, given))


def _chain(conn: Connection, given: Ended) -> str:
    run = run_statements.run(conn, given.run)
    return run.chain if run is not None else given.run
