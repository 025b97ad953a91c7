"""What hangs on a chain, a run with its retries: what it counted by `distinct_by`, and the rules that follow it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from retrainer.engine import distincts
from retrainer.engine.followers import followers
from retrainer.runs.run import RunPhase
from retrainer.store import writes

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from retrainer.engine.work import Work
    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.outcome import Ended, Step


def recounted(conn: Connection, given: Ended) -> Ended:
    """The same end, with what its chain counted that has come once more since."""
    return replace(given, recounted=distincts.recounted(conn, _chain(conn, given)))


def ended(work: Work, rule: CompiledRule, given: Ended, done: Step) -> None:
    """Settle what hangs on the chain, unless ``done`` has another attempt follow.

    To be called before a run that is born now takes any of what comes back.
    """
    if any(d.birth is not None and d.birth.retry_of is not None for d in done.decisions):
        return
    run = writes.run(work.conn, given.run)
    if run is not None:
        work.after += followers(work, run)
    settle(work.conn, given, spent=given.phase is RunPhase.SUCCEEDED or rule.rule.submit.consume == "fired")


def settle(conn: Connection, given: Ended, *, spent: bool) -> None:
    """What the chain counted goes where its window went: it is spent, or comes back."""
    (distincts.spend if spent else distincts.give_back)(conn, _chain(conn, given))


def _chain(conn: Connection, given: Ended) -> str:
    run = writes.run(conn, given.run)
    return run.chain if run is not None else given.run
