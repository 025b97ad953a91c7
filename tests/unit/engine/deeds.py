"""The operations of a side, each as a function of the side: inputs, observations and operator requests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retrainer.engine.commands import operator_commands
from retrainer.engine.intake import partitions
from retrainer.engine.replication import inbox
from retrainer.engine.schedules import backfills
from retrainer.engine.schedules.backfills import BackfillOrder
from retrainer.rules.state import decode
from retrainer.sources.base import Batch, OffsetRange
from retrainer.util.timefmt import rfc3339
from retrainer.workflows.base import Observed
from tests.unit.engine.side import Side, WrongError, check

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

PART = "t/0"


def attempted(do: Callable[[Side], Any], side: Side) -> Any:
    """Return the result of ``do``, or the name of the exception type, because messages differ between stores."""
    try:
        return do(side)
    except WrongError:
        raise
    except Exception as error:  # noqa: BLE001 - reported to the caller
        return type(error).__name__


def turn(side: Side) -> None:
    side.act(lambda _: None)


def push(items: list[Any], side: Side, offsets: OffsetRange | None = None) -> list[str]:
    window = 0.0 if items[0].source in ("prom", "stream") else 604800.0
    return side.deliver_all([Batch(items[0].source, items, identity_window=window, offsets=offsets)])[0]


def claim(side: Side) -> Any:
    return side.act(lambda tx: partitions.claim(tx.conn, "stream", PART, "i", 0))


def standby_intake(items: list[Any], side: Side) -> None:
    """Store the items through a replica that is not the leader."""
    with side.shared() as conn:
        inbox.put(conn, Batch("push", items))


def inbox_in(side: Side) -> bool:
    more: bool = side.act(inbox.fold_in)
    return more


def submit(lost: int, created: Counter[tuple[str, str]], side: Side) -> None:
    taken, side.submitter.taken = side.submitter.taken, []
    runs = {run.id: run for run in [*taken, *side.gateway.claim(1000, 30)]}
    for run in runs.values():
        check(run.id not in side.emitted, "it was submitted, and that was told")
        if run.workflow not in side.cluster:
            created[side.name, run.id] += 1
            check(created[side.name, run.id] == 1, "one Workflow a run")
            side.cluster[run.workflow] = run
        if (side.number_of(run) + lost) % 4:
            side.gateway.submitted(run.id, f"uid-{run.id}")
            side.emitted.add(run.id)


def observe(name: tuple[str, str, int], phase: str, outputs: dict[str, str], side: Side) -> None:
    run = side.run_named(name)
    if run is None or run.workflow not in side.cluster:
        return
    gone, deleting = phase == "gone", phase == "deleting"
    shown = "" if gone or deleting else phase
    numbers = {name: float(len(text)) for name, text in outputs.items()}
    side.gateway.observed(
        [
            Observed(
                "ml",
                run.workflow,
                f"uid-{run.id}",
                run.id,
                shown,
                outputs=outputs,
                resources=numbers,
                gone=gone,
                deleting=deleting,
            )
        ]
    )


def of_run(name: tuple[str, str, int], what: str, side: Side) -> Any:
    run = side.run_named(name)
    if run is None:
        return None
    if what == "cancel":
        return side.act(lambda tx: operator_commands.cancel(tx, run.id, "Stop"))
    return side.act(lambda tx: bool(operator_commands.retry(tx, run.id)))


def pause(name: str, side: Side) -> None:
    side.act(lambda tx: operator_commands.pause(tx, name, ""))


def resume(name: str, side: Side) -> None:
    side.act(lambda tx: operator_commands.resume(tx, name))


def trigger(name: str, side: Side) -> str:
    word: str = side.act(lambda tx: operator_commands.trigger(tx, name, "", {"q": "by hand"}, None))["decision"]
    return word


def backfill(name: str, side: Side) -> int:
    now = side.clock.time
    order = BackfillOrder(name, "", rfc3339(now - 7200), rfc3339(now), rerun=True)
    count: int = side.act(lambda tx: backfills.ask(tx, order, None))["count"]
    return count


def withdraw(name: str, side: Side) -> None:
    side.act(lambda tx: backfills.withdraw(tx, name, ""))


ASKED = {"pause": pause, "resume": resume, "trigger": trigger, "backfill": backfill, "withdraw": withdraw}


def letter_name(row: dict[str, Any]) -> tuple[str, ...]:
    return (row["source"], row["event"], row["reason"], row["rule"])


def letters_again(name: tuple[str, ...], again: bool, side: Side) -> Any:
    ids = [row["id"] for row in side.rows("dead_letters") if letter_name(row) == name]
    if not again:
        return side.act(lambda tx: operator_commands.discard_dead_letters(tx, ids))
    return side.act(lambda tx: operator_commands.replay_dead_letters(tx, ids))["replayed"]


def load(configuration: Any, side: Side) -> str:
    return type(side.load(configuration)).__name__


def quarantined(row: dict[str, Any]) -> bool:
    return decode(row["state"]).quarantine is not None
