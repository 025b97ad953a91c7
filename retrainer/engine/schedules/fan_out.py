"""Fan out slots and inputs that concern many keys: each transaction folds some keys and stores a cursor."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import structlog

from retrainer.engine.core.containment import contained
from retrainer.engine.core.notifications import InputLeftOut
from retrainer.engine.core.transaction_budget import KEYS
from retrainer.engine.intake.matching import too_many
from retrainer.engine.schedules.every_key import input_of
from retrainer.engine.schedules.spread import EachKey
from retrainer.rules.outcome import Input, Reason, SlotRecord
from retrainer.store import statements
from retrainer.store import tables as t
from retrainer.store.faults import of_whole

if TYPE_CHECKING:
    from sqlalchemy import Row

    from retrainer.engine.core.transaction import Transaction

log = structlog.get_logger()

FAN_OUTS = 50
"""Maximum number of fan-outs that one transaction continues."""
FAIR_SHARE = 50
"""Keys that a transaction folds for fan-outs even if other work has used up the budget and the time."""


def fan_out(tx: Transaction) -> bool:
    """Continue the stored fan-outs, oldest first. Return whether more remain."""
    statements.insert_all(tx.conn, t.fan_outs, tx.writes.rows.pop("fan_outs", []))
    tx.budget.guaranteed = FAIR_SHARE
    for row in statements.fan_outs(tx.conn, FAN_OUTS):
        if not _contained(tx, row):
            break
    return bool(statements.fan_outs(tx.conn, 1))


def _contained(tx: Transaction, row: Row[tuple[str, str, float, str, bool]]) -> bool:
    """Continue one fan-out. If it raises, drop it, so that it does not block those behind it."""

    def raised(error: Exception) -> bool:
        log.error("input.left_out", rule=row.rule, trigger=row.trigger, slot=row.slot, exc_info=error)
        tx.writes.emit(InputLeftOut("FanOut"))
        statements.move_fan_out(tx.conn, row.rule, row.trigger, row.slot, None)
        return True

    return contained(tx, partial(_go_on, tx, row), raised)


def _go_on(tx: Transaction, row: Row[tuple[str, str, float, str, bool]]) -> bool:
    """Continue one fan-out. Return False if the budget is used up."""
    text = None if row.of_slot else statements.fan_out_input(tx.conn, row.rule, row.trigger, row.slot)
    given = input_of(row.trigger, row.slot, text)
    if given is None:  # written by a newer release; unknown to this one
        log.error("input.unknown", rule=row.rule, input=text)
        given = EachKey({})
    keys = given.behind(row.after) if isinstance(given, EachKey) else _keys(tx, row)
    folded = row.after
    for key in keys:
        if not tx.budget.spend():
            statements.move_fan_out(tx.conn, row.rule, row.trigger, row.slot, folded)
            return False
        if not isinstance(given, EachKey):
            _fold_alone(tx, row.rule, key, given)
        elif _has_room(tx, row.rule, key):
            _fold_alone(tx, row.rule, key, given.of[key])
        folded = key
    statements.move_fan_out(tx.conn, row.rule, row.trigger, row.slot, folded if len(keys) == KEYS else None)
    return True


def _keys(tx: Transaction, row: Row[tuple[str, str, float, str, bool]]) -> list[str]:
    """Return the next live keys. A slot of a rule without live keys is recorded as skipped."""
    keys = statements.keys_of(tx.conn, row.rule, row.after, KEYS)
    if not keys and row.after == "" and row.of_slot:
        record = SlotRecord(row.trigger, row.slot, "skipped", Reason.NO_KEYS, row.slot)
        tx.writes.record_slot(row.rule, "", record, None)
    return keys


def _has_room(tx: Transaction, rule: str, key: str) -> bool:
    """Whether the key may have a state: other keys may have been added since the value was distributed."""
    return rule in tx.catalog.rules and not too_many(tx, (rule, key))


def _fold_alone(tx: Transaction, rule: str, key: str, given: Input) -> None:
    """Fold a shared input into one key. If it raises, only this key omits it."""
    try:
        tx.take(rule, key, given)
    except Exception as error:
        if not tx.careful or of_whole(error):
            raise
        log.exception("input.left_out", rule=rule, key=key, input=type(given).__name__)
        tx.writes.emit(InputLeftOut(type(given).__name__))
