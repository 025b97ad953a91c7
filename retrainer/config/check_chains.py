"""Check `after` triggers over all rules: the named rules exist, there are no cycles, and chains are not too long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrainer.config.errors import did_you_mean
from retrainer.config.violation import Violation

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from retrainer.config.models import Rule
    from retrainer.config.tree import Path

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
                yield rule.name, _cycle(path, name, chain)
            elif len(chain) > LONGEST:
                message = f"a chain of {len(chain)} rules, at most {LONGEST} are allowed: {' after '.join(chain)}"
                yield rule.name, Violation(path, message, _shorter(chain, upstream, found))


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


def _cycle(path: Path, trigger: str, chain: Sequence[str]) -> Violation:
    rules = chain[chain.index(chain[-1]) : -1]
    if len(rules) == 1 and len(chain) == len(("itself", "again")):
        hint = f"name another rule, or remove the trigger `{trigger}`"
        return Violation(path, f"the rule `{chain[0]}` cannot come after itself", hint)
    hint = (
        f"remove the `after` trigger of {', '.join(rules[:-1])} or {rules[-1]}"
        if rules[1:]
        else "break the cycle first"
    )
    return Violation(path, f"a cycle: {' after '.join(chain)}", hint)


def _shorter(
    chain: Sequence[str], upstream: Mapping[str, Sequence[str]], found: dict[tuple[str, int], tuple[str, ...]]
) -> str:
    """The nearest rule of the chain that the first one could follow instead."""
    near = next((name for name in chain[2:] if len(_longest(name, LONGEST, upstream, found)) < LONGEST), "")
    earlier = f"let {chain[0]} follow an earlier rule, such as {near}, or " if near else ""
    return f"{earlier}put two of them into one workflow"


def _to_the_first_repeated(way: Sequence[str]) -> Sequence[str]:
    return next((way[: i + 1] for i, name in enumerate(way) if name in way[:i]), way)
