"""`after` triggers, over all rules: they name rules that exist, in no circle, and in chains that are not too long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrainer.config.errors import did_you_mean
from retrainer.config.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from retrainer.config.models import Rule

LONGEST = 8
"""Rules that may follow one another."""


def check_chains(rules: Sequence[Rule], names: Collection[str]) -> Iterator[tuple[str, Finding]]:
    """Yield the rule's name with what is wrong with one of its triggers; ``names`` are there, if perhaps broken."""
    upstream = {rule.name: [t.after.rule for t in rule.triggers.values() if t.after] for rule in rules}
    for rule in rules:
        for name, trigger in rule.triggers.items():
            if trigger.after is None:
                continue
            path = ("triggers", name, "after", "rule")
            if trigger.after.rule not in names:
                hint = did_you_mean(trigger.after.rule, names, "add the rule, or correct the name")
                yield rule.name, Finding(path, f"unknown rule `{trigger.after.rule}`", hint, kind="reference")
                continue
            chain = _longest([rule.name, trigger.after.rule], upstream)
            if chain[-1] in chain[:-1]:
                circle = " after ".join(chain)
                yield rule.name, Finding(path, f"a circle: {circle}", "take one of them out")
            elif len(chain) > LONGEST:
                said = f"a chain of {len(chain)} rules: {' after '.join(chain)}"
                yield rule.name, Finding(path, said, f"at most {LONGEST} may follow one another")


def _longest(chain: list[str], upstream: Mapping[str, Sequence[str]]) -> list[str]:
    """The longest chain that goes on from this one; it ends as soon as a rule comes twice, or it is too long."""
    if chain[-1] in chain[:-1] or len(chain) > LONGEST:
        return chain
    further = [_longest([*chain, name], upstream) for name in upstream.get(chain[-1], ())]
    circles = [found for found in further if found[-1] in found[:-1]]
    return max(circles or further, key=len, default=chain)
