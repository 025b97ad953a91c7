"""Output of the account: on the terminal, in docs/concepts/soak.md, and as figures of bench.json."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from tests.benchmarks import pages
from tests.benchmarks.__main__ import circumstances
from tests.benchmarks.figures import Figure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.soak.account import Claim, Facts
    from tests.soak.soak import Soak

PAGE = pages.ROOT / "docs/concepts/soak.md"
MARK = "## The last account\n"
"""The text after it is replaced."""


def report(soak: Soak, facts: Facts, claims: Sequence[Claim]) -> str:
    """What happened, and the claims."""
    return "\n".join(["", *_happened(soak, facts), "", *map(str, claims)])


def _happened(soak: Soak, facts: Facts) -> list[str]:
    roads = ", ".join(f"{len(numbers):,} {road}" for road, numbers in facts.accepted.items())
    seen = soak.poisoner.seen
    answers = ", ".join(f"{count} x {status or 'no answer'}" for status, count in sorted(seen.answers.items()))
    faults = Counter(f"{fault.kind} {fault.part}" for fault in soak.faults.done)
    slowest = sorted(soak.faults.recoveries, reverse=True)[:3]
    return [
        f"good events    {roads}",
        f"bad ones       {sum(seen.kinds.values()):,} of {len(seen.kinds)} kinds; hooks answered {answers}",
        f"outcomes       {_counted(seen.outcomes)}; dead letters {_counted(soak.auditor.reasons)}",
        f"edits          {_counted(soak.editor.kinds)}",
        f"faults         {_counted(faults)}",
        f"recovered      after {'; '.join(f'{seconds:g} s: {what}' for seconds, what in slowest)}",
        f"Workflows      {len(facts.seen):,}; lives of daemons: "
        + ", ".join(f"{name} {one.lives}" for name, one in soak.replicas.items()),
    ]


def _counted(counts: Counter[Any]) -> str:
    return ", ".join(f"{count:,} {what}" for what, count in sorted(counts.items())) or "none"


def write(soak: Soak, facts: Facts, claims: Sequence[Claim]) -> None:
    """Write the page, and add the figures to those of the benchmarks."""
    before = PAGE.read_text().partition(MARK)[0]
    at = datetime.now(UTC).isoformat(timespec="minutes")
    PAGE.write_text(f"{before}{MARK}\n{told(soak, facts, claims, at)}")
    bench = orjson.loads(pages.BENCH.read_bytes())
    known = {figure["name"]: figure for figure in bench["figures"]}
    for figure in figures(soak, facts, claims):
        known[figure.name] = figure.to_json() | circumstances()
    bench["figures"] = list(known.values())
    pages.BENCH.write_bytes(orjson.dumps(bench, option=orjson.OPT_INDENT_2) + b"\n")
    pages.write()


def told(soak: Soak, facts: Facts, claims: Sequence[Claim], at: str) -> str:
    rows = "".join(f"| {claim.name} | {claim.basis} | {_word(claim)} |\n" for claim in claims)
    wrong = "".join(f"- **{claim.name}**: {one}\n" for claim in claims for one in claim.wrong[:10])
    happened = "\n".join(_happened(soak, facts))
    head = f"{at}, `make soak SEED={soak.seed} MINUTES={facts.minutes:g}`:\n\n```\n{happened}\n```\n\n"
    return f"{head}| claim | seen | holds |\n| --- | --- | --- |\n{rows}" + (
        f"\nWhat does not hold:\n\n{wrong}" if wrong else ""
    )


def _word(claim: Claim) -> str:
    return "yes" if claim.holds else "**no**" if claim.judged else "not judged"


def figures(soak: Soak, facts: Facts, claims: Sequence[Claim]) -> list[Figure]:
    method = (
        f"`make soak`, {facts.minutes:g} minutes, seed {soak.seed}: 1,000 rules, 10,000 keys, "
        f"two replicas on PostgreSQL, {len(soak.faults.done)} faults, {sum(soak.editor.kinds.values())} edits, "
        f"{sum(soak.poisoner.seen.kinds.values()):,} bad events. "
    )
    events = sum(map(len, facts.accepted.values()))
    wrong = [claim for claim in claims if claim.judged and not claim.holds]
    found = [
        Figure("soak_claims_broken", len(wrong), "claims", f"{method}Of those in docs/concepts/soak.md.", 0),
        Figure("soak_events", events, "events", f"{method}Good events that were accepted.", at_least=True),
        Figure("soak_workflows", len(facts.seen), "workflows", f"{method}Seen by a second watcher.", at_least=True),
        Figure("soak_faults", len(soak.faults.done), "faults", f"{method}Kills, cuts and freezes.", at_least=True),
    ]
    if facts.growths:
        most = max(one.memory for one in facts.growths)
        how = f"{method}VmRSS of the process that lived longest, medians at the ends of the last three quarters."
        found.append(Figure("soak_memory_growth", round(100 * most, 2), "%", how, 2))
    return found
