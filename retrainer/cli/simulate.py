"""Plays recorded history to other rules."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retrainer.cli import show
from retrainer.cli.session import Session, local
from retrainer.config.models import parse_duration
from retrainer.simulate.casefile import absolute
from retrainer.simulate.chart_data import picture
from retrainer.simulate.history import BadHistory, open_history
from retrainer.simulate.outcome import differences, totals
from retrainer.simulate.simulation import Task, configuration_of, strangers
from retrainer.simulate.simulation import simulate as play
from retrainer.util.clock import SystemClock
from retrainer.util.timefmt import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from retrainer.config.configuration import Configuration
    from retrainer.simulate.outcome import Difference, Outcome, Totals

_FILE = click.Path(exists=True, dir_okay=False)
_RULES = click.Path(exists=True)
_SHOWN = 50
_NONE: dict[str, Any] = {"runs": 0, "run_hours": 0.0, "gpu_hours": 0.0, "held": {}}
"""For a rule that one side does not have, or that decided nothing there."""


@click.command()
@click.option("--store", type=_FILE, help="History: the store of a stopped daemon.")
@click.option("--events", type=_FILE, help="History: a file with one event per line, or an export of a store.")
@click.option("--rules", "new", type=_RULES, multiple=True, help="Proposed rules: a file or a folder.")
@click.option("--current", type=_RULES, multiple=True, help="Current rules, if the history does not contain them.")
@click.option("--since", metavar="WHEN", help="Report from this time on: 30d ago, or a time with a zone.")
@click.option("--until", metavar="WHEN", help="Simulate up to this time.")
@click.option(
    "--prometheus",
    metavar="[URL]",
    is_flag=False,
    flag_value="",
    help="Query metrics that were never polled: from the Prometheus of each source, or all from the one at URL.",
)
@click.option("--run-duration", default="1h", help="Duration of runs that the history does not contain.")
@click.option(
    "--html", type=click.Path(dir_okay=False, writable=True), help="Also write a chart: one page that needs no network."
)
@click.option(
    "--processes",
    type=click.IntRange(1, 64),
    default=min(os.cpu_count() or 1, 8),
    show_default="processors of this machine, at most 8",
    help="Number of processes.",
)
@local
def simulate(
    session: Session,
    store: str | None,
    events: str | None,
    new: tuple[str, ...],
    current: tuple[str, ...],
    since: str | None,
    until: str | None,
    prometheus: str | None,
    run_duration: str,
    html: str | None,
    processes: int,
) -> None:
    """Evaluate rules on history: which runs would have started, and their cost.

    An event in JSON is {"source": …, "type": …, "time": …, "data": {…}}; an export is what `retrainer store export`
    writes.

    With --rules, the history is evaluated with the current rules and with the proposed ones, and both are compared.

    Example: retrainer simulate --store retrainer.db --rules rules/ --since 30d
    """
    history = store or events
    if history is None or (store and events):
        raise click.UsageError("give one history: --store or --events")
    if html is not None and find_spec("plotly") is None:
        raise session.failure("--html needs plotly, which is not installed: pip install plotly")
    lasts, begin, stop = _times(run_duration, since, until)
    try:
        compared = bool(current) or not new or _has_rules(session, history)
        sides = {**({"current": current} if compared else {}), **({"proposed": new} if new else {})}
        tasks = {side: Task(history, rules, lasts, stop, prometheus, begin) for side, rules in sides.items()}
        outcomes = {
            side: _simulate(session, side, task, processes).within(begin or float("-inf"), stop)
            for side, task in _with_sources(session, tasks).items()
        }
    except BadHistory as error:
        raise session.failure(str(error)) from None
    _report(session, outcomes)
    if html is not None:
        _draw(session, html, tasks, outcomes)


def _with_sources(session: Session, tasks: dict[str, Task]) -> dict[str, Task]:
    """Return the tasks, each with the sources of both sides. Report sources of the history that none of them has."""
    known = frozenset(name for task in tasks.values() for name in _configuration(session, task).sources)
    gone = strangers(open_history(next(iter(tasks.values())).history), known)
    if gone:
        click.echo(f"left out: events of sources that are in no rule file: {', '.join(gone)}", err=True)
    return {name: replace(task, sources=known) for name, task in tasks.items()}


def _has_rules(session: Session, history: str) -> bool:
    return bool(_configuration(session, Task(history, (), 0.0, 0.0), needed=False).rules)


def _times(run_duration: str, since: str | None, until: str | None) -> tuple[float, float | None, float]:
    """Return the duration of runs in seconds, and begin and end in epoch seconds. Raise UsageError."""
    try:
        lasts = parse_duration(run_duration)
        begin, end = (_moment(text, SystemClock().now()) for text in (since, until))
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    return lasts, begin, float("inf") if end is None else end


def _moment(text: str | None, now: float) -> float | None:
    if text is None:
        return None
    return absolute(text) if "-" in text else now - parse_duration(text.removesuffix(" ago"))


def _configuration(session: Session, task: Task, *, needed: bool = True) -> Configuration:
    configuration, problems = configuration_of(task)
    if problems:
        raise session.failure("\n\n".join(problem.render() for problem in problems))
    if needed and not configuration.rules:
        raise session.failure("no rules: the history has none; name rules with --current or --rules")
    return configuration


def _simulate(session: Session, name: str, task: Task, processes: int) -> Outcome:
    configuration = _configuration(session, task)
    if session.as_json or not sys.stderr.isatty():
        return play(task, configuration, processes)
    from rich.console import Console  # noqa: PLC0415 - needed only on a terminal

    from retrainer.cli.simulate_progress import shown  # noqa: PLC0415 - as above

    with shown(Console(stderr=True), name) as progress:
        return play(task, configuration, processes, progress)


def _draw(session: Session, html: str, tasks: dict[str, Task], outcomes: dict[str, Outcome]) -> None:
    try:
        Path(html).write_text(picture(tasks, outcomes), encoding="utf-8")
    except (BadHistory, OSError) as error:
        raise session.failure(f"{html}: {error}") from None
    if not session.as_json:
        click.echo(f"chart written to {html}", err=True)


def _report(session: Session, outcomes: dict[str, Outcome]) -> None:
    """Print totals by rule, and the runs that only one side has."""
    sums = {name: totals(outcome) for name, outcome in outcomes.items()}
    rules = sorted({rule for found in sums.values() for rule in found})
    differ = differences(outcomes["current"], outcomes["proposed"]) if len(outcomes) == 2 else []
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
    headers = ["RULE", *(f"{what} {name.upper()}" for what in shown.values() for name in names), "HELD BY"]
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
