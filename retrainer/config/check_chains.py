"""Check `after` triggers over all rules: the named rules exist, there are no cycles, and chains are not too long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrainer.config.errors import did_you_mean
from retrainer.config.violation import Violation

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from retrainer.config.models import Rule

LONGEST = 8
"""Maximum number of rules in a chain."""


def check_chains(rules: Sequence[Rule], names: Collection[str]) -> Iterator[tuple[str, Violation]]:
    """Yield the name of a rule and a violation of one of its triggers. ``names`` includes rules with problems."""
    upstream = {rule.name: [t.after.rule for t in rule.triggers.values() if t.after] for rule in rules}
    found: dict[tuple[str, int], tuple[str, ...]] = {}
    for rule in rules:
        for name, trigger in rule.triggers.items():
            if trigger.after is None:
                continue
            path = ("triggers", name, "after", "rule")
            if trigger.after.rule not in names:
                hint = did_you_mean(trigger.after.rule, names, "add the rule, or correct the name")
                yield rule.name, Violation(path, f"unknown rule `{trigger.after.rule}`", hint, kind="reference")
                continue
            chain = _to_the_first_repeated((rule.name, *_longest(trigger.after.rule, LONGEST, upstream, found)))
            if chain[-1] in chain[:-1]:
                yield rule.name, Violation(path, f"a cycle: {' after '.join(chain)}", "remove one of them")
            elif len(chain) > LONGEST:
                message = f"a chain of {len(chain)} rules: {' after '.join(chain)}"
                yield rule.name, Violation(path, message, f"at most {LONGEST} may be chained")


def _longest(
    name: str, left: int, upstream: Mapping[str, Sequence[str]], found: dict[tuple[str, int], tuple[str, ...]]
) -> tuple[str, ...]:
    """The longest chain upwards from a rule, of at most ``left`` rules; a chain with a cycle has precedence.

    ``found`` caches results: without it, rules that wait for many others have exponentially many chains.
    """
    known = found.get((name, left))
    if known is None:
        ways = [_longest(above, left - 1, upstream, found) for above in upstream.get(name, ())] if left > 1 else []
        further = [(name, *way) for way in ways]
        known = max(further, key=lambda way: (len(set(way)) < len(way), len(way)), default=(name,))
        found[name, left] = known
    return known


def _to_the_first_repeated(way: Sequence[str]) -> Sequence[str]:
    return next((way[: i + 1] for i, name in enumerate(way) if name in way[:i]), way)
