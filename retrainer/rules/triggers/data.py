"""A data trigger is satisfied when its batch is complete."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrainer.rules.outcome import Reason
from retrainer.rules.triggers.verdict import Verdict

if TYPE_CHECKING:
    from retrainer.config.models import AtLeast, Batch
    from retrainer.rules.window import Window


def judge(batch: Batch, window: Window, now: float, *, fresh: bool) -> Verdict:
    """Evaluate a window.

    Data that a run returned does not complete a batch by its size (``fresh`` is false): it needs new data, or time.
    """
    if not window.events:
        return Verdict(False, Reason.BATCH_INCOMPLETE, "no data pending")
    give_up = window.first_at + batch.max_wait if batch.max_wait is not None else None
    if give_up is not None and now >= give_up:
        return Verdict(True, Reason.BATCH_COMPLETE, f"{_amount(window)} pending for max_wait")
    if not fresh:
        return Verdict(
            False, Reason.BATCH_INCOMPLETE, f"{_amount(window)} returned by a run, waiting for new data", give_up
        )
    if not reached(batch, window):
        return Verdict(False, Reason.BATCH_INCOMPLETE, f"{_progress(batch.at_least, window)} so far", give_up)
    quiet = window.last_at + batch.debounce if batch.debounce is not None else now
    if now < quiet:
        until = quiet if give_up is None else min(quiet, give_up)
        return Verdict(False, Reason.DEBOUNCE, f"{_amount(window)}, still arriving", until)
    return Verdict(True, Reason.BATCH_COMPLETE, _amount(window))


def reached(batch: Batch, window: Window) -> bool:
    """Whether the size is enough, by events, bytes or rows. Without `at_least`, only a lone `max_wait` needs more."""
    needed = batch.at_least
    if needed is None:
        return batch.debounce is not None or batch.max_wait is None
    return bool(
        (needed.events and window.events >= needed.events)
        or (needed.bytes and window.bytes >= needed.bytes)
        or (needed.rows and window.rows >= needed.rows)
    )


def _amount(window: Window) -> str:
    return ", ".join(f"{value} {unit}" for value, unit in _measures(window) if value)


def _progress(needed: AtLeast | None, window: Window) -> str:
    if needed is None:
        return _amount(window)
    parts = [f"{have} of {want} {unit}" for have, unit, want in _against(needed, window) if want]
    return ", ".join(parts)


def _against(needed: AtLeast, window: Window) -> list[tuple[int, str, int | None]]:
    return [
        (window.events, "events", needed.events),
        (window.bytes, "bytes", needed.bytes),
        (window.rows, "rows", needed.rows),
    ]


def _measures(window: Window) -> list[tuple[int, str]]:
    return [(window.events, "events"), (window.bytes, "bytes"), (window.rows, "rows")]
