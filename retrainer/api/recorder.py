"""Records each act with who did it, in the transaction in which it is done."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from retrainer.api.problems import words
from retrainer.engine.commands import activity

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrainer.api.activity_log import ActivityLog
    from retrainer.engine.commands.long_commands import Act
    from retrainer.engine.core.notifications import ActRecorded
    from retrainer.engine.core.transaction import Transaction

P = ParamSpec("P")
T = TypeVar("T")


class Recorder:
    """Runs the commands of one act with ``run``. The first transaction of several has the record."""

    def __init__(self, run: Act, log: ActivityLog, act: ActRecorded) -> None:
        self._run, self._log, self._act, self._recorded = run, log, act, False

    def __call__(self, command: Callable[Concatenate[Transaction, P], T], /, *args: P.args, **options: P.kwargs) -> T:
        recorded, act = self._recorded, self._act

        def both(tx: Transaction) -> T:
            answer = command(tx, *args, **options)
            if not recorded:
                activity.record(tx, _with_answer(act, answer))
            return answer

        answer: T = self._refusable(lambda: self._run(both))
        self._recorded = True
        return answer

    def outside(self, call: Callable[[], T]) -> T:
        """Do what needs no transaction of the engine, then record it."""
        answer = self._refusable(call)
        self._log.done(_with_answer(self._act, answer))
        return answer

    def _refusable(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except (LookupError, ValueError) as error:
            self._log.refused(replace(self._act, detail=words(error)))
            raise


def _with_answer(act: ActRecorded, answer: Any) -> ActRecorded:
    """Add the run or attempt that an act has created, and the decision."""
    if act.run and isinstance(answer, str):
        return replace(act, detail=f"new run {answer}")
    if not isinstance(answer, dict) or "decision" not in answer:
        return act
    run = answer["run"]["id"] if answer.get("run") else ""
    return replace(act, run=run, detail=f"{answer['decision']}: {answer['reason']}")
