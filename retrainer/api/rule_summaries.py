"""The state of rules, one line each: of one rule, or of a page of them."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from retrainer.api import audit
from retrainer.api.key_lines import KeyLines
from retrainer.api.past_values import past_values
from retrainer.api.verdicts import CHUNK, Verdicts
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
    from retrainer.util.clock import Clock

FEW_KEYS = 2
FEW_RUNS = 5
"""Runs of a key that have not started: so many are listed."""
MOST_JUDGED = 200
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


class RuleLines:
    """Each line is computed when it is shown. The filter by state uses the remembered verdicts."""

    def __init__(self, store: Store, clock: Clock, catalog: Callable[[], Catalog]) -> None:
        self._store, self._clock, self._catalog = store, clock, catalog
        self._names: tuple[Catalog | None, list[str]] = None, []
        self.verdicts = Verdicts(store, clock, catalog)
        self.keys = KeyLines(store, clock, catalog)

    def detail(self, name: str, key: str = "") -> dict[str, Any]:
        """Return the line of a rule with its `configuration`, and the explanation of a key by the current state.

        Raise LookupError if it does not exist.
        """
        rule = self._rule(name)
        configuration = rule.rule.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        explanation = self.explain(name, key)
        of_rule = explanation if not key else self._store.read(partial(self._explain, rule=rule, key=""))
        line = self._store.read(partial(self._line, rule=rule, explanation=of_rule))
        return {**line, "configuration": configuration, "explanation": explanation}

    def page(self, query: RuleQuery) -> Page:
        """Return the lines after the cursor by name; ``next`` is the name of the last rule that was checked."""
        catalog = self._catalog()
        looked_at, looked_up = query.page.cursor or "", 0
        names = self._sorted(catalog)
        found: list[dict[str, Any]] = []
        if query.state:
            self.verdicts.look()
            self.verdicts.catch_up()
        left = [name for name in names[bisect_right(names, looked_at) :] if _matches(catalog.rules[name], query)]
        for at in range(0, len(left), CHUNK):
            chunk = left[at : at + CHUNK]
            if query.state:
                looked_up += len(self.verdicts.missing(chunk))
                self.verdicts.current(chunk)
            for name in chunk:
                looked_at = name
                looked_up += query.page.has_period
                if self._is_in(catalog.rules[name], query):
                    found.append(self._store.read(partial(self._line, rule=catalog.rules[name])))
                if len(found) >= query.page.limit or looked_up >= MOST_JUDGED:
                    return Page(found, looked_at)
        return Page(found)

    def _is_in(self, rule: CompiledRule, query: RuleQuery) -> bool:
        """Return whether a rule meets the conditions of time and state."""
        if query.page.has_period:
            last = self._store.read(partial(run_statements.last_run, rule=rule.name))
            if last is None or not query.page.covers(last.created_at):
                return False
        if not query.state or query.state in (rule.rule.mode, "paused" if rule.paused else ""):
            return True
        verdict = self.verdicts.of((rule.name,)).get(rule.name)
        return verdict is not None and query.state in (verdict.decision, verdict.reason)

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
            past = self._store.read(lambda conn: audit.explain(conn, name, key, at))
            run = self._store.read(lambda conn: audit.run_started(conn, name, key, at))
            return {**past, "tree": [*past["tree"], *past_values(self._store, rule, key, at, run)]}
        explanation = self._store.read(lambda conn: self._explain(conn, rule, key, at))
        explanation["since"] = self._store.read(lambda conn: audit.held_since(conn, explanation))
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

    def _line(self, conn: Connection, rule: CompiledRule, explanation: dict[str, Any] | None = None) -> dict[str, Any]:
        explanation = self._explain(conn, rule, "") if explanation is None else explanation
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
        return self._names[1]


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
    """Return the event that a client describes, in full or only by its data.

    The `source` of a CloudEvent names its sender, so such an event is tried as one of any source.
    """
    data = raw.get("data", raw)
    if not isinstance(data, dict):
        raise ValueError("the `data` of an event must be a JSON object")  # noqa: TRY004 - shown to the client
    shown = raw.get("attributes")
    attributes, record = split_attributes(shown if isinstance(shown, dict) else {})
    texts = {name: str(raw.get(name, "")) for name in ("source", "id", "type", "subject")}
    texts |= {"source": ""} if "specversion" in raw else {}
    return Event(**texts, time=now, data=data, attributes=attributes, record=record)
