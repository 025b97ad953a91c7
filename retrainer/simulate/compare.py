"""Compare expected with actual runs and decisions, as lines of a diff."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from retrainer.simulate.casefile import moment
from retrainer.util.counts import many
from retrainer.util.timefmt import within

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from retrainer.runs.run import Run
    from retrainer.simulate.casefile import ExpectedDecision, ExpectedRun
    from retrainer.simulate.recorder import Decided

MOST_LINES = 40
_DAY = 86400
_WHAT = attrgetter("rule", "key", "decision.kind", "decision.reason")


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A failed expectation. ``diff``: lines with `-` (expected) or `+` (actual); ``decided``: decisions before it."""

    at: float
    message: str
    diff: tuple[str, ...] = ()
    decided: tuple[str, ...] = ()


def with_offset(at: float, start: float) -> str:
    """Return a time with its distance from the start: `2026-03-02 08:30:00Z (+30m)`."""
    whole = round(at - start)
    parts = ((whole // _DAY, "d"), (whole % _DAY // 3600, "h"), (whole % 3600 // 60, "m"), (whole % 60, "s"))
    after = "".join(f"{n}{unit}" for n, unit in parts if n) or "0s"
    return f"{within(at):%Y-%m-%d %H:%M:%SZ} (+{after})"


def runs_differ(at: float, expected: Sequence[ExpectedRun], got: Sequence[Run], start: float) -> Mismatch | None:
    """Compare runs one by one, each only by its expected fields. Unexpected runs are reported with all fields."""
    wanted = [_wanted_run(run, start) for run in expected]
    came = [_of_run(run, expected[i] if i < len(expected) else None, start) for i, run in enumerate(got)]
    if wanted == came:
        return None
    message = f"{_count(len(wanted), 'run')} expected by now, {_count(len(came), 'run')} started"
    if len(wanted) == len(came):
        message = "the run differs" if len(came) == 1 else "the runs differ"
    return Mismatch(at, message, _diff(map(_line, wanted), map(_line, came)))


def decisions_differ(at: float, expected: ExpectedDecision, all_: Sequence[Decided], start: float) -> Mismatch | None:
    """Compare the last decision of a rule and key."""
    wanted = _given(
        rule=expected.rule,
        key=expected.key or None,
        decision=expected.decision,
        reason=expected.reason,
        until=None if expected.until is None else with_offset(moment(expected.until, start), start),
    )
    last = next((d for d in reversed(all_) if (d.rule, d.key) == (expected.rule, expected.key)), None)
    if last is None:
        return Mismatch(
            at, f"nothing was decided for {_name(expected.rule, expected.key)} yet", (f"- {_line(wanted)}",)
        )
    came = _of_decision(last, start)
    compared = {name: came.get(name, "none") for name in wanted}
    if compared == wanted:
        return None
    return Mismatch(at, "the last decision differs", _diff([_line(wanted)], [_line({**compared, **came})]))


def in_short(decided: Sequence[Decided], start: float) -> list[str]:
    """Return a line for each decision. Consecutive equal decisions are one line, with the detail of the first."""
    shown = []
    for (rule, key, kind, reason), same in groupby(decided, key=_WHAT):
        first, *others = same
        detail = f": {first.decision.detail}" if first.decision.detail else ""
        times = f"  ({len(others) + 1} times)" if others else ""
        shown.append(f"{with_offset(first.at, start)}  {_name(rule, key)}  {kind} {reason}{detail}{times}")
    left_out = [f"… {many(len(shown) - MOST_LINES, 'earlier decision')}"] if len(shown) > MOST_LINES else []
    return left_out + shown[-MOST_LINES:]


def _wanted_run(run: ExpectedRun, start: float) -> dict[str, str]:
    return _given(
        at=None if run.at is None else with_offset(moment(run.at, start), start),
        rule=run.rule,
        key=run.key or None,
        trigger=run.trigger,
        triggers=None if run.triggers is None else ", ".join(run.triggers),
        reason=run.reason,
        attempt=run.attempt,
        parameters=None if run.parameters is None else _pairs(run.parameters),
    )


def _of_run(run: Run, wanted: ExpectedRun | None, start: float) -> dict[str, str]:
    parameters = run.parameters
    everything = _given(
        at=with_offset(run.created_at, start),
        rule=run.rule,
        key=run.key or None,
        trigger=run.trigger,
        triggers=", ".join(run.cause.get("triggers") or ()),
        reason=run.reason,
        attempt=run.attempt,
        parameters=_pairs(parameters),
    )
    if wanted is None:
        return {name: value for name, value in everything.items() if name not in ("triggers", "attempt")}
    if wanted.parameters is not None:
        everything["parameters"] = _pairs({n: v for n, v in parameters.items() if n in wanted.parameters})
    looked_at = {"rule", "key", *_wanted_run(wanted, start)}
    return {name: value for name, value in everything.items() if name in looked_at}


def _of_decision(last: Decided, start: float) -> dict[str, str]:
    until = last.decision.until
    return _given(
        rule=last.rule,
        key=last.key or None,
        decision=last.decision.kind.value,
        reason=last.decision.reason.value,
        until=None if until is None else with_offset(until, start),
        since=with_offset(last.at, start),
        detail=last.decision.detail or None,
    )


def _given(**named: object) -> dict[str, str]:
    return {name: str(value) for name, value in named.items() if value is not None}


def _pairs(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{n}={str(v).lower() if isinstance(v, bool) else v}" for n, v in sorted(values.items()))


def _line(named: Mapping[str, str]) -> str:
    return "  ".join(f"{name}: {value}" for name, value in named.items())


def _diff(expected: Iterable[str], got: Iterable[str]) -> tuple[str, ...]:
    return tuple(line for line in difflib.ndiff(list(expected), list(got)) if not line.startswith("?"))


def _name(rule: str, key: str) -> str:
    return f"{rule}/{key}" if key else rule


def _count(n: int, what: str) -> str:
    return f"{n or 'no'} {what}{'' if n == 1 else 's'}"
