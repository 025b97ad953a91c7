"""What came of a simulation, for people and as JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from retrainer.cli import show
from retrainer.simulate.outcome import Difference, Outcome, differences, totals

if TYPE_CHECKING:
    from rich.console import Console

    from retrainer.cli.session import Session

_SHOWN = 50


def report(session: Session, outcomes: dict[str, Outcome]) -> None:
    """Print sums by rule, and the runs that only one side has."""
    sums = {name: totals(outcome) for name, outcome in outcomes.items()}
    rules = sorted({rule for found in sums.values() for rule in found})
    differ = differences(outcomes["then"], outcomes["now"]) if len(outcomes) == 2 else []
    answer = {
        "rules": [
            {"rule": rule, **{name: _sums(found[rule]) for name, found in sums.items() if rule in found}}
            for rule in rules
        ],
        "runs": {name: [_run(run) for run in outcome.runs] for name, outcome in outcomes.items()},
        "differences": [_difference(d) for d in differ],
    }
    session.print(answer, lambda console: _show(console, answer, list(outcomes)))


def _sums(of: Any) -> dict[str, Any]:
    return {"runs": of.runs, "gpu_hours": round(of.gpu_hours, 3), "reasons": of.reasons, "held": of.held}


def _run(run: Any) -> dict[str, Any]:
    fields = {name: getattr(run, name) for name in type(run).__slots__}
    return {name: _iso(v) if name.endswith("at") and v is not None else v for name, v in fields.items()}


def _difference(d: Difference) -> dict[str, Any]:
    return {
        "at": _iso(d.at),
        "rule": d.rule,
        "key": d.key,
        "run": "new" if d.sign == "+" else "gone",
        "reason": d.reason,
        "why": d.why,
    }


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _show(console: Console, answer: dict[str, Any], names: list[str]) -> None:
    headers = ["RULE", *(f"{what} {name.upper()}" for what in ("RUNS", "GPU HOURS") for name in names), "HELD BY"]
    rows = []
    for one in answer["rules"]:
        sides = [one.get(name, {"runs": 0, "gpu_hours": 0, "held": {}}) for name in names]
        held = sorted(sides[-1]["held"].items(), key=lambda item: -item[1])[:3]
        row = [one["rule"], *(s["runs"] for s in sides), *(f"{s['gpu_hours']:g}" for s in sides)]
        rows.append([*row, ", ".join(f"{reason} ({count})" for reason, count in held)])
    show.table(console, headers, rows, "no rule decided anything")
    if len(names) == 2:
        console.print()
        _show_differences(console, answer["differences"])


def _show_differences(console: Console, differ: list[dict[str, Any]]) -> None:
    if not differ:
        console.print("no run differs")
        return
    rows = [
        ("+" if d["run"] == "new" else "-", d["at"], d["rule"], d["key"], d["reason"], d["why"])
        for d in differ[:_SHOWN]
    ]
    show.table(console, ("", "AT", "RULE", "KEY", "REASON", "THE OTHER RULES SAID"), rows, "")
    if len(differ) > _SHOWN:
        console.print(f"… {len(differ) - _SHOWN} more; -o json has all")
