"""History through other rules."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from retrainer.cli import show
from retrainer.cli.session import Session, local
from retrainer.clock import SystemClock
from retrainer.config.models import parse_duration
from retrainer.simulate.casefile import absolute
from retrainer.simulate.history import BadHistory
from retrainer.simulate.outcome import Difference, Outcome, differences, totals
from retrainer.simulate.simulation import Task, configuration_of
from retrainer.simulate.simulation import simulate as play

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from retrainer.config.configuration import Configuration

_FILE = click.Path(exists=True, dir_okay=False)
_RULES = click.Path(exists=True)
_SHOWN = 50


@click.command()
@click.option("--store", type=_FILE, help="History: the store of a stopped daemon.")
@click.option("--events", type=_FILE, help="History: events, one a line, or an export of a store.")
@click.option("--rules", "new", type=_RULES, multiple=True, help="New rules: a file, or a folder of them.")
@click.option("--current", type=_RULES, multiple=True, help="Rules in force, if the history does not have them.")
@click.option("--since", metavar="WHEN", help="Count from here on: 30d ago, or a moment with its zone.")
@click.option("--until", metavar="WHEN", help="Play up to here.")
@click.option(
    "--prometheus",
    metavar="[URL]",
    is_flag=False,
    flag_value="",
    help="Ask for metrics that were never polled: each source its own Prometheus, or all of them the one at URL.",
)
@click.option("--run-duration", default="1h", help="How long runs take of which history knows nothing.")
@click.option("--processes", type=click.IntRange(1, 64), default=min(os.cpu_count() or 1, 8), help="At most so many.")
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
    processes: int,
) -> None:
    """Play history to rules: what would have run, and at what cost.

    An event in JSON is {"source": …, "type": …, "time": …, "data": {…}}; an export is what `retrainer store export`
    writes.

    With --rules it is played to the rules in force and to the new ones, and both are compared.
    """
    history = store or events
    if history is None or (store and events):
        raise click.UsageError("name one history: --store, or --events")
    clock = SystemClock()
    try:
        lasts = parse_duration(run_duration)
        begin, end = (_moment(text, clock.now()) for text in (since, until))
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    stop = float("inf") if end is None else end
    tasks = [("then", Task(history, current, lasts, stop, prometheus, begin))] if current or not new else []
    tasks += [("now", Task(history, new, lasts, stop, prometheus, begin))] if new else []
    if new and not current and _has_rules(session, history):
        tasks.insert(0, ("then", Task(history, (), lasts, stop, prometheus, begin)))
    outcomes = {}
    for name, task in tasks:
        played = _simulate(session, name, task, processes)
        outcomes[name] = played.within(begin or float("-inf"), stop)
    _report(session, outcomes)


def _has_rules(session: Session, history: str) -> bool:
    return bool(_configuration(session, Task(history, (), 0.0, 0.0), needed=False).rules)


def _moment(text: str | None, now: float) -> float | None:
    if text is None:
        return None
    return absolute(text) if "-" in text else now - parse_duration(text.removesuffix(" ago"))


def _configuration(session: Session, task: Task, *, needed: bool = True) -> Configuration:
    try:
        configuration, problems = configuration_of(task)
    except BadHistory as error:
        raise session.failure(str(error)) from None
    if problems:
        raise session.failure("\n\n".join(problem.render() for problem in problems))
    if needed and not configuration.rules:
        raise session.failure("no rules: the history has none, so name some with --current or --rules")
    return configuration


def _simulate(session: Session, name: str, task: Task, processes: int) -> Outcome:
    configuration = _configuration(session, task)
    try:
        if session.as_json or not sys.stderr.isatty():
            return play(task, configuration, processes)
        return _with_progress(name, lambda told: play(task, configuration, processes, told))
    except BadHistory as error:
        raise session.failure(str(error)) from None


def _with_progress(name: str, run: Callable[[Callable[[float], None]], Outcome]) -> Outcome:
    from rich.console import Console  # noqa: PLC0415 - only where there is a terminal
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        shown = bar.add_task(f"{name}: reading")
        return run(lambda at: bar.update(shown, description=f"{name}: {_day(at)}"))


def _day(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}"


def _report(session: Session, outcomes: dict[str, Outcome]) -> None:
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
