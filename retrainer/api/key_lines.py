"""The keys of a rule with `for_each`, one line each; and the data that is pending for a rule and key."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from retrainer.engine.core import budget_balances, rule_changes
from retrainer.rules.explain import explain
from retrainer.store import queries, run_statements
from retrainer.store.pages import Page, PageRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection

    from retrainer.engine.core.catalog import Catalog
    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.state import State
    from retrainer.store.base import Store
    from retrainer.util.clock import Clock

MOST = 100
"""Keys of one page, as each of them is evaluated; a page of more is shorter, and has a `next`."""


class KeyLines:
    """Each line is computed when it is shown, in a read of its own. An unknown rule raises LookupError."""

    def __init__(self, store: Store, clock: Clock, catalog: Callable[[], Catalog]) -> None:
        self._store, self._clock, self._catalog = store, clock, catalog

    def page(self, name: str, request: PageRequest, prefix: str = "") -> Page:
        """Return the lines of keys that begin with ``prefix``, by key."""
        rule = self._rule(name)
        asked = replace(request, limit=min(request.limit, MOST))
        found = self._store.read(partial(queries.states, rule=name, page=asked, prefix=prefix))
        return Page([self._store.read(partial(self._line, rule=rule, row=row)) for row in found.items], found.next)

    def pending(self, name: str, key: str) -> dict[str, Any]:
        """Return what is pending for each data trigger, and what it waits for."""
        rule = self._rule(name).of_key(key)
        state = self._store.read(partial(self._state, rule=rule, key=key))
        now = self._clock.now()
        return {"rule": name, "key": key, "triggers": list(_pending(rule, state, now)), "events": state.window.events}

    def pending_events(self, name: str, key: str, request: PageRequest) -> Page:
        """Return the pending events in the order of arrival; without those that were pruned."""
        rule = self._rule(name)
        state = self._store.read(partial(self._state, rule=rule, key=key))
        ranges = state.window.ranges if state.window.events else ()
        return self._store.read(partial(queries.counted, rule=name, key=key, ranges=ranges, page=request))

    def _rule(self, name: str) -> CompiledRule:
        try:
            return self._catalog().rules[name]
        except KeyError:
            raise LookupError(f"there is no rule {name!r}") from None

    def _state(self, conn: Connection, rule: CompiledRule, key: str) -> State:
        return rule_changes.state_as_it_will_be(conn, rule, key, self._clock.now())

    def _line(self, conn: Connection, rule: CompiledRule, row: dict[str, Any]) -> dict[str, Any]:
        key, now = row["key"], self._clock.now()
        state = self._state(conn, rule, key)
        verdict = explain(rule.of_key(key), key, state, now, budget_balances.of_rule(conn, rule, now))
        last = run_statements.last_run(conn, rule.name, key)
        return {
            **{name: verdict[name] for name in ("key", "verdict", "decision", "reason", "until")},
            "pending_events": state.window.events,
            "pending_since": state.window.first_at if state.window.events else None,
            "last_run": {"id": last.id, "phase": last.phase.value, "ended_at": last.ended_at} if last else None,
            "wake_at": row["wake_at"],
            "touched_at": row["touched_at"],
        }


def _pending(rule: CompiledRule, state: State, now: float) -> Iterator[dict[str, Any]]:
    for name, trigger in rule.data.items():
        window, verdict = state.windows.get(name), trigger.judge(state, now)
        has = window is not None and window.events > 0
        yield {
            "trigger": name,
            "source": trigger.source,
            "complete": verdict.satisfied,
            "reason": verdict.reason.value,
            "detail": f"{verdict.detail}; waits for new data" if state.lapsed and has else verdict.detail,
            "until": verdict.until,
            **{unit: getattr(window, unit) if window is not None else 0 for unit in ("events", "bytes", "rows")},
            "oldest_at": window.first_at if window is not None and has else None,
            "newest_at": window.last_at if window is not None and has else None,
        }
