"""Validate manual requests before they are queued."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrainer.rules.backfill import MOST
from retrainer.rules.parameters import MAX_RENDERED, as_text, refuse_braces
from retrainer.store import run_statements

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrainer.engine.core.transaction import Transaction
    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.state import State
    from retrainer.runs.run import Run

MOST_BYTES = 1024 * 1024
"""Maximum bytes of parameters waiting for one (rule, key), because they are stored with its state."""


def rule_of(tx: Transaction, name: str) -> CompiledRule:
    if name not in tx.catalog.rules:
        raise LookupError(f"there is no rule {name!r}")
    return tx.catalog.rules[name]


def run_of(tx: Transaction, run_id: str) -> Run:
    tx.writes.flush_runs()
    run = run_statements.run(tx.conn, run_id)
    if run is None:
        raise LookupError(f"there is no run {run_id}")
    return run


def check(rule: CompiledRule, key: str, parameters: Mapping[str, str]) -> None:
    """Raise ValueError if the rule has no such key or parameter, or if a value is not allowed for a run."""
    if rule.per_key and not key:
        raise ValueError(f"{rule.name} has keys (for_each): name one")
    if key and not rule.per_key:
        raise ValueError(f"{rule.name} has no key (for_each)")
    unknown = sorted(set(parameters) - set(rule.parameters))
    if unknown:
        known = ", ".join(sorted(rule.parameters)) or "none"
        raise ValueError(f"{rule.name} has no parameter {unknown[0]!r}; it has {known}")
    for name, value in parameters.items():
        try:
            refuse_braces(as_text(value))
        except ValueError as error:
            raise ValueError(f"parameter {name}: {error}") from None
    if (size := _size(parameters)) > MAX_RENDERED:
        raise ValueError(f"parameters: {size} bytes, at most {MAX_RENDERED} are allowed; pass a reference instead")


def check_room(rule: CompiledRule, state: State | None, more: int, parameters: Mapping[str, str]) -> None:
    """Raise ValueError if ``more`` requests do not fit beside those that wait already."""
    asked = state.asked if state is not None else ()
    if len(asked) + more > MOST:
        raise ValueError(
            f"{len(asked)} requests wait already, and at most {MOST} may: wait for some to start, or cancel the rest "
            f"of a backfill with `retrainer backfill {rule.name} --cancel`"
        )
    waiting = {(a.request, a.at): a.parameters for a in asked}
    if sum(map(_size, waiting.values())) + _size(parameters) > MOST_BYTES:
        raise ValueError(
            f"the parameters of the waiting requests take most of {MOST_BYTES} bytes: wait for some to start"
        )


def _size(parameters: Mapping[str, str]) -> int:
    return sum(len(value.encode()) for value in parameters.values())
