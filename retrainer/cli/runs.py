"""Runs: list, show, follow, their logs, cancel, retry."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from retrainer.cli import show
from retrainer.cli.complete import rule_names, run_ids
from retrainer.cli.events import print_events
from retrainer.cli.period import period
from retrainer.cli.session import Session, remote
from retrainer.runs.run import RunPhase

if TYPE_CHECKING:
    from rich.console import Console


FOLLOW_EVERY = 1.0
"""Seconds between two looks at a followed run."""


@click.group()
def runs() -> None:
    """List, show, follow, cancel and retry runs, and print their logs."""


@runs.command("list")
@click.option("--rule", help="Only runs of this rule.", shell_complete=rule_names)
@click.option("--key", help="Only runs of this key.")
@click.option(
    "--phase", type=click.Choice([p.value for p in RunPhase], case_sensitive=False), help="Only in this phase."
)
@period("Created")
@click.option("--limit", type=click.IntRange(1), default=50, help="Maximum number of runs.")
@click.option("--cursor", help="`next` of the previous page.")
@remote
def list_runs(session: Session, /, limit: int, **wanted: str | None) -> None:
    """List runs, the newest first.

    Example: retrainer runs list --phase FAILED --since 2026-11-24T08:00:00Z
    """
    answer = session.client.list("runs", limit=limit, **wanted)
    headers = ("ID", "RULE", "KEY", "PHASE", "WHY", "CREATED", "TOOK", "WORKFLOW", "MESSAGE")
    rows = map(_line, answer["items"])
    session.print(answer, lambda console: show.table(console, headers, rows, "There are no such runs."))


def _line(run: dict[str, Any]) -> list[object]:
    why = f"{run['trigger']}: {run['reason']}" if run["trigger"] else run["reason"]
    return [
        run["id"],
        run["rule"],
        run["key"] or "-",
        show.word(run["phase"]),
        why,
        show.relative(run["created_at"]),
        show.lasted(run),
        run["workflow"],
        run["message"] or show.pairs(run["outputs"]),
    ]


@runs.command("show")
@click.argument("run", shell_complete=run_ids)
@click.option("--inputs", is_flag=True, help="Also list the events that it consumed.")
@click.option("--limit", type=click.IntRange(1), default=1000, help="Maximum number of these events.")
@remote
def show_run(session: Session, run: str, inputs: bool, limit: int) -> None:
    """Show one run with all details.

    Example: retrainer runs show churn-01jdg8x2h9 --inputs
    """
    answer = session.client.get("runs", run)
    fed = session.client.list("runs", run, "inputs", limit=limit) if inputs else None

    def render(console: Console) -> None:
        _print_run(console, answer)
        if fed is not None:
            console.print()
            print_events(console, fed["items"], "It consumed no events.")

    session.print({**answer, "inputs": fed["items"]} if fed is not None else answer, render)


@runs.command("follow")
@click.argument("run", shell_complete=run_ids)
@remote
def follow_run(session: Session, run: str) -> None:
    """Print each phase of a run until it has ended. The exit code is 1 if it did not succeed.

    Example: retrainer runs follow churn-01jdg8x2h9
    """
    follow(session, run)


@runs.command("logs")
@click.argument("run", shell_complete=run_ids)
@click.option("--tail", type=click.IntRange(1, 100_000), default=1000, help="Maximum number of lines of each step.")
@click.option("--step", help="Only this step, with its attempts, items and parts.")
@remote
def show_logs(session: Session, run: str, tail: int, step: str | None) -> None:
    """Print what the steps of a run wrote, each line after the step's name.

    Example: retrainer runs logs churn-01jdg8x2h9 --step train --tail 50
    """
    text = session.client.text("runs", run, "logs", tail=tail, step=step)
    if session.as_json:
        session.print({"run": run, "text": "".join(text)}, lambda _: None)
        return
    for part in text:
        click.echo(show.clean(part.expandtabs()), nl=False)


def follow(session: Session, run: str) -> None:
    """Print the phases of a run as they come, or with JSON the run once it has ended. Raise Exit."""
    from retrainer.cli.show import console  # noqa: PLC0415 - JSON needs no tables

    answer, shown = session.client.get("runs", run), ""
    while not RunPhase(answer["phase"]).terminal:
        line = _now(answer)
        if line != shown and not session.as_json:
            console().print(show.clean(line))
        shown = line
        time.sleep(FOLLOW_EVERY)
        answer = session.client.get("runs", run)
    code = int(answer["phase"] != RunPhase.SUCCEEDED)
    session.print(answer, lambda c: c.print(show.clean(f"{_now(answer)} after {show.lasted(answer)}")), code=code)


def _now(run: dict[str, Any]) -> str:
    return " ".join(filter(None, [run["phase"], run["progress"], run["message"], _waits(run["waits"])]))


def _waits(waits: dict[str, Any] | None) -> str:
    if waits is None:
        return ""
    until = f", until {show.at(waits['until'])}" if waits["until"] else ""
    held = f", held by {', '.join(waits['held_by'])}" if waits["held_by"] else ""
    return f"{waits['reason']}: {waits['detail']}{until}{held}"


def _print_run(console: Console, run: dict[str, Any]) -> None:
    names = ("created_at", "scheduled_at", "admitted_at", "submitted_at", "started_at", "ended_at")
    moments = {name.removesuffix("_at"): show.at(run[name]) for name in names}
    window = run["window"]
    amounts = ((window["events"], "event"), (window["rows"], "row"), (window["bytes"], "byte"))
    fed = ", ".join(show.many(*amount) for amount in amounts) if window["events"] else ""
    show.facts(
        console,
        {
            "run": run["id"],
            "rule": run["rule"],
            "key": run["key"],
            "phase": show.word(run["phase"]),
            "message": run["message"],
            "waits for": _waits(run["waits"]),
            "why": f"{run['trigger']}: {run['reason']}",
            "workflow": f"{run['namespace']}/{run['workflow']}",
            "page": run["page"],
            "uid": run["uid"],
            "attempt": f"{run['attempt']} of chain {run['chain']}" if run["attempt"] > 1 else "",
            "stop": run["stop_requested"],
            "pool": run["pool"],
            "progress": run["progress"],
            **moments,
            "took": show.lasted(run) if run["started_at"] else "",
            "inputs": fed,
            "parameters": show.pairs(run["parameters"]),
            "outputs": show.pairs(run["outputs"]),
            "triggers": ", ".join(run["cause"]["triggers"]) if len(run["cause"]["triggers"]) > 1 else "",
            "metrics": show.pairs({name: f"{value:g}" for name, value in run["cause"]["values"].items()}),
            "upstream": run["cause"]["upstream"],
            "promoted": {True: "yes", False: "no", None: ""}[run["promoted"]],
            "cost": f"{run['gpu_hours']:g} GPU hours" if run["gpu_hours"] else "",
            "resources": show.pairs({name: f"{value:g}s" for name, value in run["resources"].items()}),
            "revision": run["revision"],
        },
    )


@runs.command()
@click.argument("run", shell_complete=run_ids)
@click.option("--terminate", is_flag=True, help="Do not run the workflow's exit handlers.")
@remote
def cancel(session: Session, run: str, terminate: bool) -> None:
    """Request the end of a run. It has ended once its phase shows that.

    Example: retrainer runs cancel churn-01jdg8x2h9 --terminate
    """
    answer = session.client.post("runs", run, "cancel", body={"strategy": "Terminate" if terminate else "Stop"})
    session.print(answer, lambda console: console.print(f"The end of {run} is requested; it is {answer['phase']}."))


@runs.command()
@click.argument("run", shell_complete=run_ids)
@click.option("--promoted/--not-promoted", required=True, help="Whether the model was promoted.")
@remote
def feedback(session: Session, run: str, promoted: bool) -> None:
    """Report whether the model of a run was promoted.

    Example: retrainer runs feedback churn-01jdg8x2h9 --not-promoted
    """
    answer = session.client.post("runs", run, "feedback", body={"promoted": promoted})
    word = "promoted" if promoted else "not promoted"
    session.print(answer, lambda console: console.print(f"{run} is recorded as {word}."))


@runs.command()
@click.argument("run", shell_complete=run_ids)
@remote
def retry(session: Session, run: str) -> None:
    """Start another attempt of an ended run, with the same parameters.

    Example: retrainer runs retry churn-01jdg8x2h9
    """
    answer = session.client.post("runs", run, "retry")
    session.print(answer, lambda c: show.facts(c, {"run": answer["id"], "workflow": answer["workflow"]}))
