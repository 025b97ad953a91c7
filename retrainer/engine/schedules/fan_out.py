"""Slots and inputs that concern many keys, folded into some of them in each transaction, behind a stored cursor."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import structlog

from retrainer.engine.core.containment import attempt
from retrainer.engine.core.transaction_budget import KEYS
from retrainer.engine.intake.matching import too_many
from retrainer.engine.schedules.every_key import input_of
from retrainer.engine.schedules.spread import EachKey
from retrainer.rules.outcome import Reason, SlotRecord
from retrainer.store import statements
from retrainer.store import tables as t
from retrainer.store.faults import of_whole

if TYPE_CHECKING:
    from sqlalchemy import Row

    from retrainer.engine.core.transaction import Transaction
    from retrainer.rules.outcome import Input

log = structlog.get_logger()

FAN_OUTS = 50
"""Slots and inputs that one transaction goes on with."""
FAIR_SHARE = 50
"""Keys that they are folded into even where others have taken the budget, time included."""


def fan_out(tx: Transaction) -> bool:
    """Go on with what concerns many keys, the oldest first; return whether there is more."""
    statements.insert_all(tx.conn, t.fan_outs, tx.rows.pop("fan_outs", []))
    tx.budget.guaranteed = FAIR_SHARE
    for row in statements.fan_outs(tx.conn, FAN_OUTS):
        if not _contained(tx, row):
            break
    return bool(statements.fan_outs(tx.conn, 1))


def _contained(tx: Transaction, row: Row[tuple[str, str, float, str, bool]]) -> bool:
    """Go on with one of them. What cannot even be told to keys is left out, so that those behind it have their turn."""
    if not tx.careful:
        return _go_on(tx, row)
    try:
        return attempt(tx, partial(_go_on, tx, row))
    except Exception as error:
        if of_whole(error):
            raise
        log.exception("input.left_out", rule=row.rule, trigger=row.trigger, slot=row.slot)
        tx.emit("left_out", unit="FanOut")
        statements.move_fan_out(tx.conn, row.rule, row.trigger, row.slot, None)
        return True


def _go_on(tx: Transaction, row: Row[tuple[str, str, float, str, bool]]) -> bool:
    """Go on with one of them; return whether the budget leaves more."""
    text = None if row.of_slot else statements.fan_out_input(tx.conn, row.rule, row.trigger, row.slot)
    given = input_of(row.trigger, row.slot, text)
    if given is None:  # a later release wrote it, and this one does not know what it means
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
    """The live keys that come next. A slot that finds none is skipped."""
    keys = statements.keys_of(tx.conn, row.rule, row.after, KEYS)
    if not keys and row.after == "" and row.of_slot:
        record = SlotRecord(row.trigger, row.slot, "skipped", Reason.NO_KEYS, row.slot)
        tx.record_slot(row.rule, "", record, None)
    return keys


def _has_room(tx: Transaction, rule: str, key: str) -> bool:
    """Whether a key may have a state: others may have come since the value was shared out."""
    return rule in tx.catalog.rules and not too_many(tx, (rule, key))


def _fold_alone(tx: Transaction, rule: str, key: str, given: Input) -> None:
    """Fold in what concerns many keys. A value that one key does not bear is left out of that key alone."""
    try:
        tx.take(rule, key, given)
    except Exception as error:
        if not tx.careful or of_whole(error):
            raise
        log.exception("input.left_out", rule=rule, key=key, input=type(given).__name__)
        tx.emit("left_out", unit=type(given).__name__)
