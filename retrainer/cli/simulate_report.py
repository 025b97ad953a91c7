"""The result of a simulation, as text and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retrainer.cli import show
from retrainer.simulate.outcome import SIDES, Difference, Outcome, Totals, differences, totals
from retrainer.util.timefmt import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from retrainer.cli.session import Session

_SHOWN = 50
_NONE: dict[str, Any] = {"runs": 0, "run_hours": 0.0, "gpu_hours": 0.0, "held": {}}
"""For a rule that one side does not have, or that decided nothing there."""


def report(session: Session, outcomes: dict[str, Outcome]) -> None:
    """Print totals by rule, and the runs that only one side has."""
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


def _sums(of: Totals) -> dict[str, Any]:
    hours = {"run_hours": round(of.run_hours, 3), "gpu_hours": round(of.gpu_hours, 3)}
    return {"runs": of.runs, **hours, "phases": of.phases, "reasons": of.reasons, "held": of.held}


def _run(run: Any) -> dict[str, Any]:
    fields = {name: getattr(run, name) for name in type(run).__slots__}
    return {name: rfc3339(v) if name.endswith("at") and v is not None else v for name, v in fields.items()}


def _difference(d: Difference) -> dict[str, Any]:
    return {
        "at": rfc3339(d.at),
        "rule": d.rule,
        "key": d.key,
        "run": "new" if d.sign == "+" else "gone",
        "reason": d.reason,
        "why": d.why,
    }


def _show(console: Console, answer: dict[str, Any], names: list[str]) -> None:
    rules = answer["rules"]
    costs = "gpu_hours" if any(rule.get(name, _NONE)["gpu_hours"] for rule in rules for name in names) else "run_hours"
    shown = {"runs": "RUNS", costs: costs.replace("_", " ").upper()}
    headers = ["RULE", *(f"{what} {SIDES[name].upper()}" for what in shown.values() for name in names), "HELD BY"]
    rows = [[rule["rule"], *_cells(rule, names, shown), _held(rule.get(names[-1], _NONE))] for rule in rules]
    if len(rules) > 1:
        every = {name: {what: sum(r.get(name, _NONE)[what] for r in rules) for what in shown} for name in names}
        rows.append(["all", *_cells(every, names, shown), ""])
    show.table(console, headers, rows, "no rule decided anything")
    if len(names) == 2:
        console.print()
        _show_differences(console, answer["differences"])


def _cells(rule: dict[str, Any], names: list[str], shown: Iterable[str]) -> list[str]:
    return [f"{round(rule.get(name, _NONE)[what], 3):g}" for what in shown for name in names]


def _held(side: dict[str, Any]) -> str:
    most = sorted(side["held"].items(), key=lambda item: -item[1])[:3]
    return ", ".join(f"{reason} ({count})" for reason, count in most)


def _show_differences(console: Console, differ: list[dict[str, Any]]) -> None:
    if not differ:
        console.print("no run differs")
        return
    rows = [
        ("+" if d["run"] == "new" else "-", d["at"], d["rule"], d["key"], d["reason"], d["why"])
        for d in differ[:_SHOWN]
    ]
    show.table(console, ("", "AT", "RULE", "KEY", "REASON", "DECISION OF THE OTHER RULES"), rows, "")
    if len(differ) > _SHOWN:
        console.print(f"… {len(differ) - _SHOWN} more; -o json shows all")
