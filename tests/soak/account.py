"""The final account: each claim with its basis, computed from observations only. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.soak.rules import REGIONAL, ROADS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tests.soak.samples import Growth, StoreSample
    from tests.soak.witness import Seen

SHOWN = 5
"""Number of counterexamples that are shown."""
MEMORY_GROWTH = 0.02
ENOUGH = 30.0
"""Minutes of a run from which on `MEMORY_GROWTH` applies: shorter runs are dominated by warm-up."""
SHORT_GROWTH = 0.25
"""The growth limit of shorter runs."""
SHORT_MORE = 5
"""Extra threads and descriptors allowed in a shorter run: many are created at first use."""
LEFT = 0.02
"""Share of events that may be older than the retention: windows of rules that an edit removed keep their events."""
BAD = "bad-"
"""Prefix of the names of bad rules."""
REGION_RULE = "by-region"


@dataclass(frozen=True, slots=True)
class Facts:
    """The observations.

    ``accepted``, ``unknown`` and ``told`` are by channel. ``created`` has the names of Workflows from the audit log.
    ``records`` has source, partition and offset of bad records, ``places`` those of all records that have an outcome.
    """

    minutes: float
    accepted: Mapping[str, set[Any]]
    unknown: Mapping[str, set[Any]]
    told: Mapping[str, Mapping[Any, Sequence[str]]]
    seen: Sequence[Seen]
    created: Sequence[str]
    runs: Mapping[str, Mapping[str, Any]]
    backwards: Sequence[str]
    rises: Mapping[str, int]
    missed: Sequence[str]
    crossings: int
    refused: Sequence[str]
    odd: Sequence[str]
    records: set[tuple[str, int, int]]
    places: set[tuple[str, int, int]]
    broken_threads: Sequence[str]
    odd_ends: Sequence[str]
    unrecovered: Sequence[str]
    sick: Sequence[str]
    growths: Sequence[Growth]
    store: Sequence[StoreSample]
    retention: float
    """Seconds."""


@dataclass(frozen=True, slots=True)
class Claim:
    """``wrong`` has the counterexamples. ``basis`` says what was compared."""

    name: str
    basis: str
    wrong: Sequence[str] = ()
    judged: bool = True
    """Whether the claim counts: some do not apply to a short run."""

    @property
    def holds(self) -> bool:
        return not self.wrong

    def __str__(self) -> str:
        word = "yes" if self.holds else "NO " if self.judged else "not judged"
        examples = "".join(f"\n       {one}" for one in self.wrong[:SHOWN])
        more = f"\n       and {len(self.wrong) - SHOWN} more" if len(self.wrong) > SHOWN else ""
        return f"{word}  {self.name}: {self.basis}{examples}{more}"


def account(facts: Facts) -> list[Claim]:
    return [
        _judges(facts),
        _answered(facts),
        *(_decided(facts, road) for road in ROADS),
        *(_in_one_run(facts, road) for road in ROADS),
        _levels(facts),
        _slots(facts),
        _once(facts),
        _ended(facts),
        _poison(facts),
        _alive(facts),
        _memory(facts),
        _threads(facts),
        _store(facts),
    ]


def _judges(facts: Facts) -> Claim:
    return Claim("senders and judges worked to the end", "threads of the soak itself", facts.broken_threads)


def _answered(facts: Facts) -> Claim:
    sent = sum(map(len, facts.accepted.values()))
    return Claim(
        "every sender was answered, and as documented", f"{sent:,} good events accepted", [*facts.refused, *facts.odd]
    )


def _decided(facts: Facts, road: str) -> Claim:
    """Each number is in the ledger once, and matched."""
    accepted, told = facts.accepted[road], facts.told[road]
    wrong = [f"{one} has no outcome" for one in _some(accepted - told.keys())]
    wrong += [f"{one} is there {len(outcomes)} times" for one, outcomes in told.items() if len(outcomes) > 1]
    wrong += [
        f"{one} is {outcomes[0]}" for one, outcomes in told.items() if outcomes != ["matched"] and len(outcomes) == 1
    ]
    wrong += [f"{one} was never sent" for one in _some(told.keys() - accepted - facts.unknown[road])]
    basis = f"{len(accepted):,} accepted, {len(told):,} in the ledger by the API"
    return Claim(f"{road}: each accepted event has one outcome", basis, wrong)


def _in_one_run(facts: Facts, road: str) -> Claim:
    """By the Workflows seen by the witness, each accepted number is an argument of exactly one Workflow."""
    mine = [one for one in facts.seen if one.rule.startswith(f"{road}-")]
    taken = Counter(number for one in mine for number in one.took)
    wrong = [f"{one} is in no Workflow" for one in _some(facts.accepted[road] - taken.keys())]
    wrong += [f"{one} is in {times} Workflows" for one, times in taken.items() if times > 1]
    wrong += [f"{one} was never sent" for one in _some(taken.keys() - facts.accepted[road] - facts.unknown[road])]
    if road == "records":
        wrong += _regions(facts)
    return Claim(
        f"{road}: each is in exactly one Workflow", f"{len(taken):,} numbers in {len(mine):,} Workflows", wrong
    )


def regional(numbers: Iterable[int]) -> list[int]:
    """The numbers of the records that have a region."""
    return [n for n in numbers if n % REGIONAL == 0]


def _regions(facts: Facts) -> list[str]:
    """The rule with keys takes every eighth record."""
    taken = Counter(number for one in facts.seen if one.rule == REGION_RULE for number in one.took)
    due = set(regional(facts.accepted["records"]))
    wrong = [f"{n} is in no Workflow of {REGION_RULE}" for n in _some(due - taken.keys())]
    return wrong + [f"{n} is in {times} Workflows of {REGION_RULE}" for n, times in taken.items() if times > 1]


def _levels(facts: Facts) -> Claim:
    """Each rise of a value started one run. For the alert, rises are the ones that Alertmanager reported."""
    counts = Counter(one.rule for one in facts.seen)
    wrong = list(facts.missed)
    due = {**facts.rises, "alerted": facts.crossings}
    wrong += [
        f"{rule}: {rises} rises, {counts[rule]} Workflows" for rule, rises in due.items() if counts[rule] != rises
    ]
    basis = ", ".join(f"{rule} {rises} rises" for rule, rises in due.items())
    return Claim("metrics and alerts: each rise started exactly one Workflow", basis, wrong)


def _slots(facts: Facts) -> Claim:
    """Each minute from the first to the last has one Workflow."""
    slots = Counter(datetime.fromisoformat(one.slot) for one in facts.seen if one.rule == "minutely")
    wrong = [f"{slot} has {times}" for slot, times in slots.items() if times > 1]
    if slots:
        first, last = min(slots), max(slots)
        count = round((last - first) / timedelta(minutes=1))
        wrong += [f"{at} has none" for n in range(count) if (at := first + timedelta(minutes=n)) not in slots]
    if len(slots) < int(facts.minutes) - 1:
        wrong.append(f"{len(slots)} slots in {facts.minutes:g} minutes")
    return Claim("the schedule: each minute has exactly one Workflow", f"{len(slots)} slots", wrong)


def _once(facts: Facts) -> Claim:
    """Compares names from the API server's audit log, uids from the witness, and runs from the daemon's API."""
    names = Counter(facts.created)
    of_run: dict[str, set[str]] = {}
    for one in facts.seen:
        of_run.setdefault(one.run, set()).add(one.uid)
    wrong = [f"{name} was created {times} times" for name, times in names.items() if times > 1]
    wrong += [f"run {run} has {len(uids)} Workflows" for run, uids in of_run.items() if len(uids) > 1]
    wrong += [f"the API knows no run {run}" for run in _some(of_run.keys() - facts.runs.keys())]
    wrong += [
        f"{name} was created, and nobody saw it" for name in _some(names.keys() - {one.name for one in facts.seen})
    ]
    basis = f"{len(names):,} Workflows by the audit log, {len(facts.seen):,} seen, {len(facts.runs):,} runs by the API"
    return Claim("no run is doubled", basis, wrong)


def _ended(facts: Facts) -> Claim:
    phases = Counter(run["phase"] for run in facts.runs.values())
    seen = {one.run: one.uid for one in facts.seen}
    wrong = [
        f"{run['id']} of {run['rule']} is {run['phase']}: {run['message']}"
        for run in facts.runs.values()
        if not _well(run)
    ]
    wrong += [
        f"{run['id']} of {run['rule']} is {run['phase']} without a Workflow"
        for run in facts.runs.values()
        if run["phase"] == "SUCCEEDED" and run["id"] not in seen
    ]
    basis = ", ".join(f"{count:,} {phase}" for phase, count in sorted(phases.items()))
    return Claim("every run has ended, none goes backwards", basis, [*wrong, *facts.backwards])


def _well(run: Mapping[str, Any]) -> bool:
    """Whether a run ended as expected. Runs of bad rules may fail, or wait, for example for a missing template."""
    return run["phase"] == "SUCCEEDED" or is_bad(run["rule"])


def is_bad(rule: str) -> bool:
    """Whether an edit added the rule as an intentionally bad one."""
    return rule.startswith(BAD)


def _poison(facts: Facts) -> Claim:
    """The bad records that the broker accepted, by position. Topics whose records may contain no event are excluded."""
    wrong = [
        f"{source}/{at} offset {offset} has no outcome" for source, at, offset in _some(facts.records - facts.places)
    ]
    return Claim("poison: each bad record has an outcome", f"{len(facts.records):,} bad records", wrong)


def _alive(facts: Facts) -> Claim:
    wrong = [*facts.odd_ends, *facts.unrecovered, *facts.sick]
    return Claim(
        "daemons end only when they are made to, and come back",
        "exit codes, /readyz, /healthz, the lead, halted partitions, threads, outcomes that add up",
        wrong,
    )


def _memory(facts: Facts) -> Claim:
    judged = facts.minutes >= ENOUGH
    most = MEMORY_GROWTH if judged else SHORT_GROWTH
    wrong = [
        f"{one.daemon}: {one.memory:+.1%} in {one.seconds / 60:.1f} minutes"
        for one in facts.growths
        if one.memory > most
    ]
    if not facts.growths:
        wrong.append("no process lived through the last three quarters")
    basis = "; ".join(
        f"{g.daemon}: {g.resident[0]:.1f} to {g.resident[1]:.1f} MiB ({g.memory:+.1%})" for g in facts.growths
    )
    span = (
        "over the last three quarters"
        if judged
        else f"in so short a run (the goal of {MEMORY_GROWTH:.0%} is for an hour)"
    )
    return Claim(f"memory grows by at most {most:.0%} {span}", basis, wrong)


def _threads(facts: Facts) -> Claim:
    judged = facts.minutes >= ENOUGH
    most = 0 if judged else SHORT_MORE
    wrong = [
        f"{one.daemon}: {what} {before} to {after}"
        for one in facts.growths
        for what, (before, after) in (("threads", one.threads), ("descriptors", one.descriptors))
        if after - before > most
    ]
    basis = "; ".join(
        f"{g.daemon}: threads {g.threads[0]} to {g.threads[1]}, descriptors {g.descriptors[0]} to {g.descriptors[1]}"
        for g in facts.growths
    )
    bound = "do not grow" if judged else f"grow by at most {most} in so short a run (the goal of none is for an hour)"
    return Claim(f"descriptors and threads {bound}", basis, wrong)


def _store(facts: Facts) -> Claim:
    """Old events are pruned, and their number stays bounded. A run shorter than the retention cannot show this."""
    wrong = [
        f"{one.old} of {one.events} events are old at {one.at:.0f} s"
        for one in facts.store
        if one.old > LEFT * one.events
    ]
    counts = [one.events for one in facts.store]
    third = len(counts) // 3
    if third > 5 and facts.minutes >= ENOUGH and max(counts[-third:]) > 1.2 * max(counts[third:-third]):
        wrong.append(f"{max(counts[third:-third]):,} events in the second third, {max(counts[-third:]):,} in the last")
    sizes = [one.bytes / 1e6 for one in facts.store]
    size = (
        f"{counts[len(counts) // 2]:,} events half-way, {counts[-1]:,} at last, {sizes[-1]:.0f} MB"
        if sizes
        else "never seen"
    )
    basis = f"retention {facts.retention:.0f} s; {size}"
    judged = facts.minutes * 60 > 2 * facts.retention
    return Claim("the store keeps no more events than its retention", basis, wrong, judged=judged)


def _some(things: Iterable[Any]) -> list[Any]:
    return sorted(things, key=str)
