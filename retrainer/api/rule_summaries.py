"""The state of rules, one line each: of one rule, or of a page of them."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from retrainer.api import audit
from retrainer.engine.core import budget_balances, rule_changes
from retrainer.engine.intake.matching import author_of
from retrainer.engine.runs.waits import waits_for
from retrainer.event import Event, split_attributes
from retrainer.rules.explain import explain
from retrainer.rules.trigger_answers import would_match
from retrainer.store import run_statements, statements
from retrainer.store.pages import Page, PageRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from sqlalchemy import Connection

    from retrainer.engine.core.catalog import Catalog
    from retrainer.rules.compile import CompiledRule
    from retrainer.store.base import Store
    from retrainer.store.statements import Touched
    from retrainer.util.clock import Clock

CHUNK = 500
"""Rules whose states are read at once."""
FEW_KEYS = 2
FEW_RUNS = 5
"""Runs of a key that have not started: so many are listed."""
MOST_JUDGED = 1000
"""Verdicts that are computed for one page; a page that needs more is shorter, and has a `next`."""


@dataclass(frozen=True, slots=True)
class RuleQuery:
    """A filter for rules: those by name of a page that meet all conditions. The time is that of their last run.

    ``name``: a part of the name. ``state``: a mode, a decision or its reason. ``labels``: `name` or `name=value`.
    ``only``: names of the rules that the caller may see, None for all.
    """

    page: PageRequest
    name: str = ""
    state: str = ""
    source: str = ""
    labels: tuple[str, ...] = ()
    only: Collection[str] | None = None


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

    def detail(self, name: str) -> dict[str, Any]:
        """Return the line of a rule with its `configuration`. Raise LookupError if it does not exist."""
        rule = self._rule(name)
        configuration = rule.rule.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        return {**self._store.read(partial(self._line, rule=rule)), "configuration": configuration}

    def page(self, query: RuleQuery) -> Page:
        """Return the lines after the cursor by name; ``next`` is the name of the last rule that was checked."""
        catalog = self._catalog()
        names = self._sorted(catalog)
        looked_at, judged = query.page.cursor or "", 0
        left = names[bisect_right(names, looked_at) :]
        found: list[dict[str, Any]] = []
        for at in range(0, len(left), CHUNK):
            rules = [rule for name in left[at : at + CHUNK] if _matches(rule := catalog.rules[name], query)]
            states = self._store.read(partial(statements.touched, rules=[r.name for r in rules])) if query.state else {}
            for rule in rules:
                if len(found) >= query.page.limit or judged >= MOST_JUDGED:
                    return Page(found, looked_at)
                looked_at = rule.name
                stands, fresh = self._wanted(rule, query, states)
                judged += fresh
                if stands:
                    found.append(self._store.read(partial(self._line, rule=rule)))
        return Page(found)

    def _wanted(self, rule: CompiledRule, query: RuleQuery, states: Mapping[str, Touched]) -> tuple[bool, bool]:
        """Return whether a rule meets the conditions of time and state, and whether that had to be looked up."""
        if query.page.has_period:
            last = self._store.read(partial(run_statements.last_run, rule=rule.name))
            if last is None or not query.page.covers(last.created_at):
                return False, True
        return self._stands(rule, query.state, states) if query.state else (True, False)

    def _rule(self, name: str) -> CompiledRule:
        try:
            return self._catalog().rules[name]
        except KeyError:
            raise LookupError(f"there is no rule {name!r}") from None

    def explain(
        self, name: str, key: str, event: dict[str, Any] | None = None, at: float | None = None
    ) -> dict[str, Any]:
        """Return why a rule fires or not at a time (epoch seconds), and what its triggers do with an event if given.

        A time in the past is explained by the stored decisions, any other one, or none, by the current state. Raise
        LookupError if the rule does not exist, ValueError for an unreadable event.
        """
        rule, now = self._rule(name), self._clock.now()
        if at is not None and at < now and event is None:
            return self._store.read(lambda conn: audit.explain(conn, name, key, at))
        explanation = self._store.read(lambda conn: self._explain(conn, rule, key, at))
        explanation["tree"] = [*self._store.read(lambda conn: _unknown_key(conn, rule, key)), *explanation["tree"]]
        if event is not None:
            given = _event(event, now)
            author = self._store.read(lambda conn: author_of(conn, given))
            explanation["event"] = would_match(rule, given, author)
        return explanation

    def _explain(self, conn: Connection, rule: CompiledRule, key: str, at: float | None = None) -> dict[str, Any]:
        """Explain a rule and key by their current state, at a given time or now."""
        now = self._clock.now()
        state = rule_changes.state_as_it_will_be(conn, rule, key, now)
        moment = at if at is not None else now
        explanation = explain(rule.of_key(key), key, state, moment, budget_balances.of_rule(conn, rule, moment))
        return {**explanation, "tree": [*explanation["tree"], *self._waiting(conn, rule.name, key)]}

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
        explanation = self._explain(conn, rule, "")
        last = run_statements.last_run(conn, rule.name)
        return {
            "name": rule.name,
            "mode": rule.rule.mode,
            "paused": rule.paused,
            "description": rule.rule.description,
            "labels": dict(rule.rule.labels),
            "keys": statements.count_keys(conn, rule.name) if rule.per_key else 0,
            **{name: explanation[name] for name in ("verdict", "decision", "reason", "until")},
            "next_fire": explanation["earliest"],
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
        explanation = self._store.read(partial(self._explain, rule=rule, key=""))
        moments = (wake_at, explanation["until"], explanation["earliest"])
        until = min((m for m in moments if m is not None), default=math.inf)
        if rule.rule.limits.budget is not None:  # other rules change the verdict too
            until = 0.0
        found = self.verdicts[rule.name] = _Verdict(version, until, explanation["decision"], explanation["reason"])
        return state in (found.decision, found.reason), True


def _unknown_key(conn: Connection, rule: CompiledRule, key: str) -> list[dict[str, Any]]:
    """Return a note if the rule has one state for each key and this key has none."""
    if not rule.per_key or statements.state_row(conn, rule.name, key) is not None:
        return []
    known = statements.keys_of(conn, rule.name, "", FEW_KEYS)
    such_as = f", such as {' and '.join(known)}" if known else ""
    count = statements.count_keys(conn, rule.name)
    detail = f"give one of the rule's keys{such_as} ({count} in all)" if count else "no key has a state yet"
    return [{"name": "key", "state": "unknown" if key else "not given", "detail": detail, "children": []}]


def _matches(rule: CompiledRule, query: RuleQuery) -> bool:
    return (
        (query.only is None or rule.name in query.only)
        and query.name in rule.name
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


def _event(raw: dict[str, Any], now: float) -> Event:
    """Return the event that a client describes, in full or only by its data."""
    data = raw.get("data", raw)
    if not isinstance(data, dict):
        raise ValueError("the `data` of an event must be a JSON object")  # noqa: TRY004 - shown to the client
    shown = raw.get("attributes")
    attributes, record = split_attributes(shown if isinstance(shown, dict) else {})
    texts = {name: str(raw.get(name, "")) for name in ("source", "id", "type", "subject")}
    return Event(**texts, time=now, data=data, attributes=attributes, record=record)
