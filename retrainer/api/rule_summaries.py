"""The state of one rule, and why it fires or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retrainer.api import audit
from retrainer.api.key_lines import KeyLines
from retrainer.api.past_values import past_values
from retrainer.api.rule_listing import RuleListing
from retrainer.api.verdicts import Verdicts
from retrainer.engine.core import budget_balances, rule_changes
from retrainer.engine.intake.matching import author_of
from retrainer.engine.runs.waits import waits_for
from retrainer.event import Event, split_attributes
from retrainer.rules.explain import explain
from retrainer.rules.trigger_answers import would_match
from retrainer.store import run_statements, statements

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection

    from retrainer.engine.core.catalog import Catalog
    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.limits import RemainingBudget
    from retrainer.rules.state import State
    from retrainer.store.base import Store
    from retrainer.util.clock import Clock

FEW_KEYS = 2
FEW_RUNS = 5
"""Runs of a key that have not started: so many are listed."""


class RuleLines:
    """Each line is computed when it is shown. The filter by state uses the remembered verdicts."""

    def __init__(self, store: Store, clock: Clock, catalog: Callable[[], Catalog]) -> None:
        self._store, self._clock, self._catalog = store, clock, catalog
        self.verdicts = Verdicts(store, clock, catalog)
        self.keys = KeyLines(store, clock, catalog)
        self.listing = RuleListing(store, clock, catalog, self.verdicts)

    def detail(self, name: str, key: str = "") -> dict[str, Any]:
        """Return the line of a rule with its `configuration`, and the explanation of a key by the current state.

        Raise LookupError if it does not exist.
        """
        rule = self._rule(name)
        configuration = rule.rule.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        explanation = self.explain(name, key)
        of_rule = explanation if not key else self._explain(rule, "")
        verdict = {name: of_rule[name] for name in ("verdict", "decision", "reason", "until")}
        line = {**self.listing.line(name), **verdict, "next_fire": of_rule["earliest"]}
        return {**line, "configuration": configuration, "explanation": explanation}

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
        explanation = self._explain(rule, key, at)
        explanation["since"] = self._store.read(lambda conn: audit.held_since(conn, explanation))
        explanation["tree"] = [*self._store.read(lambda conn: _unknown_key(conn, rule, key)), *explanation["tree"]]
        if event is not None:
            given = _event(event, now)
            author = self._store.read(lambda conn: author_of(conn, given))
            explanation["event"] = would_match(rule, given, author)
        return explanation

    def _explain(self, rule: CompiledRule, key: str, at: float | None = None) -> dict[str, Any]:
        """Explain a rule and key by their current state, at a given time or now."""
        now = self._clock.now()
        moment = at if at is not None else now

        def stored(conn: Connection) -> tuple[State, RemainingBudget | None, list[dict[str, Any]]]:
            state = rule_changes.state_as_it_will_be(conn, rule, key, now)
            return state, budget_balances.of_rule(conn, rule, moment), self._waiting(conn, rule.name, key)

        state, balance, waiting = self._store.read(stored)
        # The store is free again: each slot until a time that is far away is counted.
        explanation = explain(rule.of_key(key), key, state, moment, balance)
        return {**explanation, "tree": [*explanation["tree"], *waiting]}

    def _waiting(self, conn: Connection, rule: str, key: str) -> list[dict[str, Any]]:
        """Return the runs of the key that have not started, and what they wait for."""
        runs = run_statements.unstarted_runs(conn, rule, key, FEW_RUNS)
        waits = [(run, waits_for(conn, self._catalog(), run, self._clock.now())) for run in runs]
        return [
            {"name": f"run {run.id}", "state": f"waits: {w['reason']}", "detail": w["detail"], "children": []}
            for run, w in waits
            if w is not None
        ]


def _unknown_key(conn: Connection, rule: CompiledRule, key: str) -> list[dict[str, Any]]:
    """Return a note if the rule has one state for each key and this key has none."""
    if not rule.per_key or statements.state_row(conn, rule.name, key) is not None:
        return []
    known = statements.keys_of(conn, rule.name, "", FEW_KEYS)
    such_as = f", such as {' and '.join(known)}" if known else ""
    count = statements.count_keys(conn, rule.name)
    detail = f"give one of the rule's keys{such_as} ({count} in all)" if count else "no key has a state yet"
    return [{"name": "key", "state": "unknown" if key else "not given", "detail": detail, "children": []}]


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
