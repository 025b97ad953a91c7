"""The state of rules, one line each: of one rule, or of a page of them."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from retrainer.engine.core import budget_balances, rule_changes
from retrainer.engine.runs.waits import waits_for
from retrainer.rules.explain import explain
from retrainer.store import run_statements, statements
from retrainer.store.queries import Page

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sqlalchemy import Connection

    from retrainer.api.service import RuleQuery
    from retrainer.engine.core.catalog import Catalog
    from retrainer.rules.compile import CompiledRule
    from retrainer.store.base import Store
    from retrainer.store.statements import Touched
    from retrainer.util.clock import Clock

CHUNK = 500
"""Rules whose states are read at once."""
FEW_RUNS = 5
"""Runs of a key that have not started: so many are listed."""
MOST_JUDGED = 1000
"""Verdicts that are computed for one page; a page that needs more is shorter, and has a `next`."""


@dataclass(frozen=True, slots=True)
class _Verdict:
    """The cached verdict of a rule: valid until ``until`` if ``version`` is the same."""

    version: tuple[object, ...]
    until: float
    decision: str
    reason: str


class RuleLines:
    """Each line is computed when it is shown. For the filter by state, verdicts are cached while they are valid."""

    def __init__(self, store: Store, clock: Clock, catalog: Callable[[], Catalog]) -> None:
        self._store, self._clock, self._catalog = store, clock, catalog
        self._names: tuple[Catalog | None, list[str]] = None, []
        self.verdicts: dict[str, _Verdict] = {}

    def one(self, name: str) -> dict[str, Any]:
        """Return the line of a rule. Raise LookupError if it does not exist."""
        rule = self._catalog().rules.get(name)
        if rule is None:
            raise LookupError(f"there is no rule {name!r}")
        return self._store.read(partial(self._line, rule=rule))

    def page(self, query: RuleQuery) -> Page:
        """Return the lines after ``query.after`` by name; ``next`` is the name of the last rule that was checked."""
        catalog = self._catalog()
        names = self._sorted(catalog)
        left = names[bisect_right(names, query.after) :]
        looked_at, judged = query.after, 0
        found: list[dict[str, Any]] = []
        for at in range(0, len(left), CHUNK):
            rules = [rule for name in left[at : at + CHUNK] if _asked_for(rule := catalog.rules[name], query)]
            states = self._store.read(partial(statements.touched, rules=[r.name for r in rules])) if query.state else {}
            for rule in rules:
                if len(found) >= query.limit or judged >= MOST_JUDGED:
                    return Page(found, looked_at)
                looked_at = rule.name
                stands, fresh = self._stands(rule, query.state, states) if query.state else (True, False)
                judged += fresh
                if stands:
                    found.append(self._store.read(partial(self._line, rule=rule)))
        return Page(found)

    def explain(self, conn: Connection, rule: CompiledRule, key: str, at: float | None = None) -> dict[str, Any]:
        """Explain a rule and key by their current state, at a given time or now."""
        now = self._clock.now()
        state = rule_changes.state_as_it_will_be(conn, rule, key, now)
        moment = at if at is not None else now
        told = explain(rule.of_key(key), key, state, moment, budget_balances.of_rule(conn, rule, moment))
        return {**told, "tree": [*told["tree"], *self._waiting(conn, rule.name, key)]}

    def _waiting(self, conn: Connection, rule: str, key: str) -> list[dict[str, Any]]:
        """Return the runs of the key that have not started, and what they wait for."""
        runs = run_statements.unstarted_runs(conn, rule, key, FEW_RUNS)
        waits = [(run, waits_for(conn, self._catalog(), run, self._clock.now())) for run in runs]
        return [
            {"name": f"run {run.id}", "state": f"waits: {w['reason']}", "detail": w["detail"], "children": []}
            for run, w in waits
            if w is not None
        ]

    def _line(self, conn: Connection, rule: CompiledRule) -> dict[str, Any]:
        told = self.explain(conn, rule, "")
        last = run_statements.last_run(conn, rule.name)
        return {
            "name": rule.name,
            "mode": rule.rule.mode,
            "paused": rule.paused,
            "description": rule.rule.description,
            "labels": dict(rule.rule.labels),
            "keys": statements.count_keys(conn, rule.name) if rule.per_key else 0,
            **{name: told[name] for name in ("verdict", "decision", "reason", "until")},
            "next_fire": told["earliest"],
            "last_run": {"id": last.id, "phase": last.phase.value, "ended_at": last.ended_at} if last else None,
        }

    def _sorted(self, catalog: Catalog) -> list[str]:
        if self._names[0] is not catalog:
            names = sorted(catalog.rules)
            self._names = catalog, names
            self.verdicts = {name: v for name, v in list(self.verdicts.items()) if name in catalog.rules}
        return self._names[1]

    def _stands(self, rule: CompiledRule, state: str, states: Mapping[str, Touched]) -> tuple[bool, bool]:
        """Return whether the rule is in a state, and whether that had to be computed."""
        if state in (rule.rule.mode, "paused" if rule.paused else ""):
            return True, False
        touched, wake_at = states.get(rule.name, (None, None))
        version = (rule.revision, rule.paused, touched)
        known = self.verdicts.get(rule.name)
        if known is not None and known.version == version and self._clock.now() < known.until:
            return state in (known.decision, known.reason), False
        told = self._store.read(partial(self.explain, rule=rule, key=""))
        moments = (wake_at, told["until"], told["earliest"])
        until = min((m for m in moments if m is not None), default=math.inf)
        if rule.rule.limits.budget is not None:  # other rules change the verdict too
            until = 0.0
        self.verdicts[rule.name] = _Verdict(version, until, told["decision"], told["reason"])
        return state in (told["decision"], told["reason"]), True


def _asked_for(rule: CompiledRule, query: RuleQuery) -> bool:
    return (
        query.name in rule.name
        and (not query.source or query.source in sources_of(rule))
        and all(_has(rule.rule.labels, label) for label in query.labels)
    )


def _has(labels: Mapping[str, object], label: str) -> bool:
    """Whether a label exists (`team`), with that value (`team=fraud`)."""
    name, equals, value = label.partition("=")
    return name in labels and (not equals or str(labels[name]) == value)


def sources_of(rule: CompiledRule) -> Sequence[str]:
    """Return the sources of a rule's triggers."""
    return [*(trigger.source for trigger in rule.data.values()), *(gauge.source for gauge in rule.gauges.values())]
