"""Rules: their state, why they decide so, and operator commands."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, BinaryIO

import click
import orjson
from rich.text import Text
from rich.tree import Tree

from retrainer.cli import show
from retrainer.cli.complete import rule_names, source_names
from retrainer.cli.connection import CommandError
from retrainer.cli.many_rules import ALL, act_on_rules, is_one, label_option
from retrainer.cli.runs import follow
from retrainer.cli.session import Session, remote

if TYPE_CHECKING:
    from rich.console import Console

Names = tuple[str, ...]
_names = click.argument("rules", nargs=-1, metavar="RULE...", shell_complete=rule_names)


@click.command()
@click.option("--name", help="Only rules whose names contain this.")
@click.option("--state", help="Only rules with this mode, decision or reason: paused, hold, cooldown ...")
@click.option("--source", help="Only rules that use this source.", shell_complete=source_names)
@click.option("--label", "labels", multiple=True, help="Only rules with this label: team, or team=fraud.")
@click.option("--limit", type=click.IntRange(1), default=ALL, help="Maximum number of rules.")
@remote
def rules(session: Session, /, limit: int, labels: tuple[str, ...], **filters: str | None) -> None:
    """List the rules with their verdicts.

    Example: retrainer rules --state hold --label team=fraud
    """
    answer = session.client.list("rules", limit=limit, label=list(labels) or None, **filters)
    headers = ("NAME", "MODE", "KEYS", "NEXT", "LAST RUN", "VERDICT")
    rows, nothing = map(_line, answer["items"]), "There are no rules. See `retrainer validate`."
    session.print(answer, lambda console: show.table(console, headers, rows, nothing))


def _line(rule: dict[str, Any]) -> list[object]:
    last = rule["last_run"]
    ended = f" {show.relative(last['ended_at'])}" if last and last["ended_at"] else ""
    return [
        rule["name"],
        show.word("paused" if rule["paused"] else rule["mode"]),
        rule["keys"] or "-",
        show.relative(rule["next_fire"]),
        show.word(last["phase"]).append(ended, style="default") if last else "-",
        rule["verdict"],
    ]


@click.command()
@click.argument("rule", shell_complete=rule_names)
@click.option("--key", default="", help="Key of a rule with for_each.")
@click.option("--event", type=click.File("rb"), help="JSON file with an event, or only its data; - reads stdin.")
@click.option("--at", "moment", help="Evaluate at this time (RFC 3339 with a zone) instead of now.")
@remote
def explain(session: Session, rule: str, key: str, event: BinaryIO | None, moment: str | None) -> None:
    """Explain why a rule fires, holds or skips, and what it would do with an event.

    Example: retrainer explain churn --key de --at 2026-11-01T06:00:00Z
    """
    question = {"key": key, "event": _event(event), "at": moment}
    answer = session.client.post("rules", rule, "explain", body=question)
    session.print(answer, lambda console: _explained(console, answer))


MOST_BYTES = 1 << 20
"""The limit of the API."""


def _event(file: BinaryIO | None) -> dict[str, Any] | None:
    if file is None:
        return None
    body = file.read(MOST_BYTES + 1)
    if len(body) > MOST_BYTES:
        raise CommandError(f"--event: more than {MOST_BYTES >> 20} MiB, the maximum size of an event")
    try:
        event = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise CommandError(f"--event: not JSON: {error}") from None
    if not isinstance(event, dict):
        raise CommandError("--event: an event is a JSON object")
    return event


def _explained(console: Console, answer: dict[str, Any]) -> None:
    console.print(Text(show.clean(answer["verdict"]), style="bold"))
    until, earliest = show.at(answer["until"]), show.at(answer["earliest"])
    show.facts(console, {"reason": answer["reason"], "until": until, "earliest": earliest, "page": answer["page"]})
    for node in answer["tree"]:
        console.print(_tree(node))
    for judged in answer.get("event") or ():
        console.print(_judged(judged))


def _tree(node: dict[str, Any]) -> Tree:
    label = Text(show.clean(node["name"]), style="bold").append(" ")
    label.append(show.word(node["state"])).append(Text(" " + show.clean(node["detail"]), style="default"))
    tree = Tree(label)
    for child in node["children"]:
        tree.children.append(_tree(child))
    return tree


def _judged(judged: dict[str, Any]) -> Tree:
    """Return what a trigger does with the given event."""
    verdict = "would count" if judged.get("matches") else "would not count"
    details = {name: judged[name] for name in ("key", "bytes", "rows", "error") if judged.get(name)}
    label = f"this event {verdict} for {judged['trigger']}" + (f" ({show.pairs(details)})" if details else "")
    tree = Tree(Text(show.clean(label), style="bold"))
    for one in judged.get("conditions", ()):
        sign = Text("yes " if one["holds"] else "no  ", style="green" if one["holds"] else "red")
        why = one.get("error") or one.get("said")
        error = f": {why}" if why else ""
        tree.add(sign + Text(show.clean(f"{one['name']} = {one['expected']}{error}"), style="default"))
    return tree


@click.command()
@_names
@label_option
@click.option("--key", default="", help="Key of a rule with for_each.")
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="Value of a parameter; may be repeated.")
@click.option(
    "--dry-run", is_flag=True, help="Only show the Workflow that would be created; of several rules, their answers."
)
@click.option("--idempotency-key", help="A repeated request with the same key returns the same runs.")
@click.option("--follow", is_flag=True, help="Wait until the run has ended; exit code 1 if it did not succeed.")
@click.option("--cancel", is_flag=True, help="Withdraw manual runs that have not started. Started runs continue.")
@remote
def trigger(
    session: Session, /, rules: Names, labels: Names, key: str, params: Names, *, cancel: bool, **how: Any
) -> None:
    """Request a manual run of a rule, or of each of several.

    Example: retrainer trigger churn --key de --param since=2026-01-01 --follow
    """
    if not is_one(rules, labels):
        if key or params or how["follow"] or cancel:
            raise click.UsageError("--key, --param, --follow and --cancel are for one rule: name only one")
        chosen, request = (rules, labels), how["idempotency_key"]
        act_on_rules(session, "trigger", chosen, dry_run=how["dry_run"], request=request)
        return
    (rule,) = rules
    if cancel:
        _withdraw(session, rule, key, alone=not params and not any(how.values()))
        return
    parameters = dict(parameter(text) for text in params)
    order = {"key": key, "parameters": parameters, "dry_run": how["dry_run"]}
    headers = {"Idempotency-Key": how["idempotency_key"] or str(uuid.uuid4())}
    answer = session.client.post("rules", rule, "trigger", body=order, headers=headers)
    if how["follow"] and answer["run"] is not None:
        if not session.as_json:
            session.print(answer, lambda console: _triggered(console, answer))
        follow(session, answer["run"]["id"])
        return
    session.print(answer, lambda console: _triggered(console, answer), code=int(answer["decision"] == "skip"))


def _withdraw(session: Session, rule: str, key: str, *, alone: bool) -> None:
    if not alone:
        raise click.UsageError("--cancel withdraws all waiting manual runs: give no option with it except --key")
    answer = session.client.delete("rules", rule, "trigger", **({"key": key} if key else {}))
    session.print(answer, lambda console: console.print(show.dropped(answer, "request")))


def parameter(text: str) -> tuple[str, str]:
    """Parse NAME=VALUE. Raise BadParameter."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--param")
    return name, value


def _triggered(console: Console, answer: dict[str, Any]) -> None:
    if answer["manifest"] is not None:
        console.print_json(orjson.dumps(answer["manifest"]).decode())
        return
    run, detail = answer["run"], f": {answer['detail']}" if answer["detail"] else ""
    if run is not None:
        parameters = {f"  {name}": value for name, value in run.get("parameters", {}).items()}
        show.facts(console, {"run": run["id"], "workflow": run["workflow"], "page": answer["page"], **parameters})
    else:
        waits = "; the request waits, --cancel withdraws it" if answer["decision"] == "hold" else ""
        console.print(show.word(answer["decision"]).append(show.clean(f" ({answer['reason']}){detail}{waits}")))


_dry_run = click.option("--dry-run", is_flag=True, help="Only show what would become of each rule.")


@click.command()
@_names
@label_option
@click.option("--note", default="", help="The reason, shown with the paused rules.")
@_dry_run
@remote
def pause(session: Session, rules: Names, labels: Names, note: str, *, dry_run: bool) -> None:
    """Pause rules until they are resumed. Their schedules and data are still recorded.

    Example: retrainer pause churn --note 'new labels, until Monday'
    """
    if not is_one(rules, labels) or dry_run:
        act_on_rules(session, "pause", (rules, labels), dry_run=dry_run, note=note)
        return
    (rule,) = rules
    answer = session.client.post("rules", rule, "pause", body={"note": note})
    session.print(answer, lambda console: console.print(f"{rule} is paused. Resume it with `retrainer resume {rule}`."))


@click.command()
@_names
@label_option
@_dry_run
@remote
def resume(session: Session, rules: Names, labels: Names, *, dry_run: bool) -> None:
    """End the pause of rules, and close their circuit breakers.

    Example: retrainer resume --label team=fraud --dry-run
    """
    if not is_one(rules, labels) or dry_run:
        act_on_rules(session, "resume", (rules, labels), dry_run=dry_run)
        return
    (rule,) = rules
    answer = session.client.post("rules", rule, "resume")
    session.print(answer, lambda console: console.print(f"{rule} is resumed."))
