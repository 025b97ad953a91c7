"""The replay of one dead letter, and its preview: the same replay, undone."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import func, select

from retrainer.engine.core.containment import attempt
from retrainer.engine.core.notifications import DecisionMade
from retrainer.engine.intake.dead_letters import letter_event
from retrainer.engine.intake.events import take_in
from retrainer.sources.base import Batch, ReplayScope
from retrainer.store import tables as t
from retrainer.telemetry.secrets import SECRETS
from retrainer.util.counts import many
from retrainer.util.error_text import words

if TYPE_CHECKING:
    from collections.abc import Collection

    from sqlalchemy import Row

    from retrainer.engine.core.transaction import Transaction

PREVIEW_SECONDS = 0.01
"""Seconds after which a transaction previews no further dead letter."""
MOST_SHOWN = 5
"""Decisions that a preview names for one dead letter."""
NOT_REPLAYED = {
    "dead_lettered": "{error} (still)",
    "ignored": "{error} (no rule uses its source now, or the source will read it again)",
    "overtaken": "a newer value of its series was counted since, so it has no effect: discard it",
    "stale": "its value is older than max_sample_age, so it counts as no data: discard it, or send a new measurement",
    "unknown": "the ledger was pruned since, so it is unknown whether it was counted: discard it, or send it again",
}
"""Outcomes of a replay that keep the dead letter, with the message for each."""
_WITHOUT_EFFECT = {
    "duplicate": "its rules have counted it already: the dead letter is only deleted",
    "filtered": "no rule wants it now: the dead letter is only deleted",
}
_C = t.dead_letters.c


class _UndoneError(Exception):
    """Ends a unit of work that is only a preview, with its answer."""

    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__("a preview")
        self.answer = answer


def replay(tx: Transaction, row: Row[Any]) -> tuple[str, str]:
    """Replay a dead letter for the rule that failed on it. Return the outcome, and why it must be kept, if it must."""
    if row.reason == "unreadable":
        return "unreadable", "it cannot be read as an event: discard it, or send it again"
    event = letter_event(row.source, row.event, row.payload)
    scope = ReplayScope(frozenset({row.rule} if row.rule else tx.catalog.rules), levels=True)
    (outcomes,) = take_in(tx, [Batch(row.source, [event], replay_scope=scope)])
    outcome = outcomes[0] if isinstance(outcomes, list) else "ignored"
    return outcome, NOT_REPLAYED.get(outcome, "").format(error=row.error)


def preview(tx: Transaction, ids: Collection[int]) -> dict[str, Any]:
    """Replay each of some dead letters alone, and undo it.

    ``letters`` in the answer has for each whether it would be ``kept``, and a ``detail``. ``left`` lists the ids that
    the time of this transaction did not cover.
    """
    left = sorted(tx.conn.execute(select(_C.id).where(_C.id.in_(ids))).scalars(), reverse=True)
    began = tx.budget.elapsed()
    letters: list[dict[str, Any]] = []
    while left and (not letters or tx.budget.elapsed() - began < PREVIEW_SECONDS):
        row = tx.conn.execute(select(t.dead_letters).where(_C.id == left.pop())).one()
        letters.append({"id": row.id, "source": row.source, "rule": row.rule, **_undone(tx, row)})
    return {"letters": letters, "left": left}


def _undone(tx: Transaction, row: Row[Any]) -> dict[str, Any]:
    careful, arrivals, tx.careful = tx.careful, tx.arrivals, True
    try:
        attempt(tx, partial(_replay_and_undo, tx, row))
    except _UndoneError as undone:
        return undone.answer
    except (LookupError, TypeError, ValueError) as error:  # its payload is damaged
        return {"kept": True, "detail": SECRETS.mask(words(error))}
    finally:
        tx.careful, tx.arrivals = careful, arrivals
    raise AssertionError("a preview is always undone")


def _replay_and_undo(tx: Transaction, row: Row[Any]) -> None:
    before = len(tx.writes.notifications)
    outcome, why = replay(tx, row)
    decided = [one for one in tx.writes.notifications[before:] if isinstance(one, DecisionMade)]
    raise _UndoneError({"kept": bool(why), "detail": why or _WITHOUT_EFFECT.get(outcome) or _in_words(decided)})


def _in_words(decided: list[DecisionMade]) -> str:
    shown = [
        f"{one.rule}{f'[{one.key}]' if one.key else ''}: {one.decision.kind.value}: {one.decision.reason.value}"
        f"{f' ({one.decision.detail})' if one.decision.detail else ''}"
        for one in decided[:MOST_SHOWN]
    ]
    more = len(decided) - len(shown)
    return "; ".join([*shown, *([f"and {many(more, 'decision')} more"] if more > 0 else [])]) or "it is counted"


def extent(tx: Transaction, ids: Collection[int]) -> dict[str, int]:
    """Return how many of some dead letters exist, and their size in bytes."""
    query = select(func.count(), func.coalesce(func.sum(_C.size), 0)).where(_C.id.in_(ids))
    count, size = tx.conn.execute(query).one()
    return {"discarded": count, "size": size}
