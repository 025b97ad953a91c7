"""Commands that may take more than one transaction. After a crash, the same request continues with the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar

from retrainer.engine.commands import feedback, letter_replay, operator_commands
from retrainer.engine.schedules import backfills

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from retrainer.engine.core.transaction import Transaction

P = ParamSpec("P")
T = TypeVar("T")
MOST_PREVIEWED = 100
"""Dead letters of one preview, the oldest first."""
AGES = 100
"""Imported ages per transaction, because each one is a state to write."""


class Act(Protocol):
    """Runs a command in one transaction of the engine, and returns its result after the commit."""

    def __call__(
        self, command: Callable[Concatenate[Transaction, P], T], /, *args: P.args, **options: P.kwargs
    ) -> T: ...


def withdraw(act: Act, rule: str, key: str, *, manual: bool = False) -> dict[str, Any]:
    """Withdraw backfills, or manual runs, that have not started. Return how many were `dropped` and `cancelled`."""
    dropped = cancelled = 0
    while True:
        answer = act(backfills.withdraw, rule, key, manual=manual)
        dropped, cancelled = dropped + answer["dropped"], cancelled + answer["cancelled"]
        if not answer.pop("left"):
            return {**answer, "dropped": dropped, "cancelled": cancelled}


def import_ages(act: Act, ages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Import when models were last trained. Return the number of `imported` lines, and all that `failed`."""
    imported, failed = 0, []
    for at in range(0, len(ages), AGES):
        answer = act(feedback.import_ages, ages[at : at + AGES])
        imported += answer["imported"]
        failed += [{**line, "line": line["line"] + at} for line in answer["failed"]]
    return {"imported": imported, "failed": failed}


def replay_dead_letters(act: Act, ids: list[int]) -> dict[str, Any]:
    """Process dead letters again. A replayed one is no dead letter any more. Return the sums of all transactions."""
    replayed, left = 0, ids
    failed: list[dict[str, Any]] = []
    while left:
        answer = act(operator_commands.replay_dead_letters, left)
        replayed, failed, left = replayed + answer["replayed"], failed + answer["failed"], answer["left"]
    return {"replayed": replayed, "failed": failed}


def preview_replay(act: Act, ids: list[int]) -> dict[str, Any]:
    """Return what a replay would make of dead letters, each alone. ``unchecked``: how many are more than are looked at.

    Each transaction is short, because the engine waits meanwhile.
    """
    wanted = sorted(set(ids))
    left, letters = wanted[:MOST_PREVIEWED], list[dict[str, Any]]()
    while left:
        answer = act(letter_replay.preview, left)
        letters, left = letters + answer["letters"], answer["left"]
    failed = [{"id": letter["id"], "error": letter["detail"]} for letter in letters if letter["kept"]]
    unchecked = len(wanted[MOST_PREVIEWED:])
    return {"replayed": len(letters) - len(failed), "failed": failed, "letters": letters, "unchecked": unchecked}
