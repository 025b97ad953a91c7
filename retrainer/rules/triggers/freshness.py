"""A freshness trigger is satisfied when the last successful or promoted run is too old."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrainer.rules.outcome import Reason
from retrainer.rules.triggers.verdict import Verdict

if TYPE_CHECKING:
    from retrainer.config.models import Freshness
    from retrainer.rules.state import State

_UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "m"), (1.0, "s"))


def judge(freshness: Freshness, state: State, now: float, jitter: float) -> Verdict:
    """Evaluate the age. ``jitter`` (seconds) delays the first run, also for a model whose age was imported.

    An active run may be the answer, so the trigger is not satisfied meanwhile. After a run that does not count, or an
    expired deadline, `min_retry_interval` prevents a rule without a cooldown from starting another run at once.
    """
    last = state.last_promoted if freshness.of == "promoted" else state.last_succeeded
    due = last + freshness.max_age if last is not None else state.seen_at + freshness.max_age + jitter
    if last is not None and state.imported_at is not None and last <= state.imported_at:
        due = max(due, state.imported_at + jitter)
    for tried in (state.last_completed, state.gave_up_at):
        if tried is not None and (last is None or tried > last):
            due = max(due, tried + freshness.min_retry_interval)
    said = f"{span(now - (last if last is not None else state.seen_at))} old, at most {span(freshness.max_age)}"
    if state.active:
        return Verdict(False, Reason.FRESH, f"{said}; a run is active")
    if now >= due:
        return Verdict(True, Reason.STALE, said)
    return Verdict(False, Reason.FRESH, said, due)


def span(seconds: float) -> str:
    """The duration in the largest unit that fits, with one decimal if needed."""
    for size, unit in _UNITS:
        if abs(seconds) >= size:
            return f"{seconds / size:.1f}".removesuffix(".0") + unit
    return "0s"
