"""What does not go on by itself: each with what is known of it, and the way out."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from retrainer.rules.outcome import Reason
from retrainer.store import overview
from retrainer.util.counts import many

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from retrainer.api.context import ApiContext
    from retrainer.api.verdicts import Verdict
    from retrainer.store.overview import DeadLetterGroup
    from retrainer.store.scope import Scope

SHOWN = 10
"""Items of a group; the rest is only counted."""
MOST_RUNS = 100
"""Runs of a group that are counted."""

Kind = Literal[
    "rule_file",
    "quarantined",
    "circuit_open",
    "bad_parameters",
    "late",
    "halted",
    "silent",
    "dead_letters",
    "refused_run",
    "slow_run",
    "stopping_run",
    "waits",
]
WAY_OUT: dict[Kind, str] = {
    "rule_file": "Correct the file. Until then the last text without mistakes is in force.",
    "quarantined": "Edit the rule so that it can be evaluated, or resume it to try again.",
    "circuit_open": "Look at its last runs. Once their cause is gone, resume the rule.",
    "bad_parameters": "Correct the parameters in the rule; its next run uses them.",
    "late": "Look at what holds the rule, or why its runs fail.",
    "halted": "Decide where to continue: reset the partition.",
    "silent": "Look at whether its sender works.",
    "dead_letters": "Look at them. Replay them once their cause is gone, or discard them.",
    "refused_run": "Correct what the message names; it is tried again by itself. Or cancel the run.",
    "slow_run": "Look at its Workflow: it may wait for nodes, quota or an image.",
    "stopping_run": "Wait for its pods to end; if they do not, look at the Workflow.",
    "waits": "It goes on by itself once this works again.",
}


@dataclass(frozen=True, slots=True)
class Needing:
    """One thing that needs somebody. ``act``: what may be done at once."""

    name: str
    sentence: str = ""
    since: float | None = None
    rule: str | None = None
    run: str | None = None
    source: str | None = None
    act: Literal["resume"] | None = None


@dataclass(frozen=True, slots=True)
class NeedingGroup:
    """Things of one kind: the first ones, and how many there are. ``more``: there may be more than were counted."""

    kind: Kind
    count: int
    items: Sequence[Needing] = field(default=())
    more: bool = False

    @property
    def way_out(self) -> str:
        return WAY_OUT[self.kind]


def of_rules(verdicts: Iterable[Verdict], now: float) -> Iterator[NeedingGroup]:
    """Yield the rules that only a person can free, and those that are late."""
    by_kind: dict[Kind, list[Verdict]] = {"quarantined": [], "circuit_open": [], "bad_parameters": [], "late": []}
    kinds: dict[str, Kind] = {
        Reason.QUARANTINED: "quarantined",
        Reason.CIRCUIT_OPEN: "circuit_open",
        Reason.BAD_PARAMETERS: "bad_parameters",
    }
    for verdict in verdicts:
        kind = kinds.get(verdict.reason)
        if kind is not None:
            by_kind[kind].append(verdict)
        elif verdict.late_at is not None and verdict.late_at < now:
            by_kind["late"].append(verdict)
    for kind, found in by_kind.items():
        if found:
            shown = sorted(found, key=lambda verdict: verdict.rule)[:SHOWN]
            yield NeedingGroup(kind, len(found), [_of_rule(verdict, kind) for verdict in shown])


def _of_rule(verdict: Verdict, kind: Kind) -> Needing:
    since = verdict.late_at if kind == "late" else verdict.since
    act: Literal["resume"] | None = "resume" if kind in ("quarantined", "circuit_open") else None
    return Needing(verdict.rule, verdict.verdict, since, rule=verdict.rule, act=act)


def of_store(api: ApiContext, sees: Scope, now: float) -> Iterator[NeedingGroup]:
    """Yield runs and dead letters."""
    letters, more = api.read(overview.dead_letter_groups, sees)
    if letters:
        items = [_of_letters(group) for group in letters]
        yield NeedingGroup("dead_letters", sum(group.count for group in letters), items[:SHOWN], more)
    of_kind = {
        "refused_run": partial(overview.refused_runs, limit=MOST_RUNS, scope=sees),
        "slow_run": partial(overview.slow_runs, now=now, limit=MOST_RUNS, scope=sees),
        "stopping_run": partial(overview.stopping_runs, limit=MOST_RUNS, scope=sees),
    }
    kinds: tuple[Kind, ...] = ("refused_run", "slow_run", "stopping_run")
    for kind in kinds:
        if rows := api.read(of_kind[kind]):
            runs = [
                Needing(row.id, row.message, row.submitted_at or row.created_at, rule=row.rule, run=row.id)
                for row in rows[:SHOWN]
            ]
            yield NeedingGroup(kind, len(rows), runs, len(rows) == MOST_RUNS)


def _of_letters(group: DeadLetterGroup) -> Needing:
    error = group.error if group.count == 1 else f"{group.count} of them, the newest: {group.error}"
    return Needing(f"{group.source}: {group.reason}", error, group.at, source=group.source)


def of_sources(lines: Sequence[Mapping[str, Any]]) -> Iterator[NeedingGroup]:
    """Yield halted partitions, and sources that received nothing for too long; ``lines`` describe the sources."""
    halted = [
        Needing(f"{line['name']} {part['partition']}", part["reason"], source=line["name"])
        for line in lines
        for part in line["halted"]
    ]
    silent = [
        Needing(line["name"], _silence(line["max_silence"]), line["last_event_at"], source=line["name"])
        for line in lines
        if line["silent"]
    ]
    kinds: tuple[tuple[Kind, list[Needing]], ...] = (("halted", halted), ("silent", silent))
    for kind, found in kinds:
        if found:
            yield NeedingGroup(kind, len(found), found[:SHOWN])


def _silence(seconds: float) -> str:
    return f"nothing was received for more than its max_silence of {many(round(seconds), 'second')}"


def of_process(api: ApiContext, sees: Scope) -> Iterator[NeedingGroup]:
    """Yield mistakes in rule files and what waits for a server; of others than all namespaces, only that it waits."""
    problems = [] if sees.limited else list(api.rule_problems())
    if problems:
        yield NeedingGroup("rule_file", len(problems), [Needing("rule file", text) for text in problems[:SHOWN]])
    waits = [wait for wait in api.waiting() if wait.dependency != "decision"]
    if waits:
        items = [
            Needing(wait.component, wait.in_words if sees.limited else f"{wait.in_words}: {wait.error}", wait.since)
            for wait in waits[:SHOWN]
        ]
        yield NeedingGroup("waits", len(waits), items)
