"""What is in `GET /api/v1/overview`."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final, get_args

from retrainer.api import needs
from retrainer.api.verdicts import FIRES, rank
from retrainer.runs.run import RunPhase
from retrainer.store import overview, queries, statements
from retrainer.store.base import StoreError
from retrainer.store.pages import PageRequest
from retrainer.util.counts import many

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from retrainer.api.context import ApiContext
    from retrainer.store.scope import Scope

SHOWN = 10
"""Runs that are shown one by one."""
LATELY = 86400.0
"""Seconds within which runs that ended are counted."""
FRESH = 1.0
"""Seconds for which an answer is given again if nothing changed in the store."""
HURRIED = 40
"""Verdicts that are made for one answer; the rest is made in the background."""
LAGS = 5.0
"""Seconds that an evaluation may be overdue before the decisions count as late."""


class Overviews:
    """Makes the answers. Pages that ask at the same time share one."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context
        self._lock = threading.Lock()
        self._made: dict[frozenset[str] | None, tuple[int, float, dict[str, Any]]] = {}

    def of(self, sees: Scope) -> dict[str, Any]:
        """Return the answer for a caller."""
        api, verdicts = self._context, self._context.rules.verdicts
        verdicts.look()
        with self._lock:
            try:
                verdicts.catch_up()
                verdicts.hurry(HURRIED)
            except StoreError as error:
                return _without_store(api, sees, str(error))
            now, version = api.engine.clock.monotonic(), verdicts.version
            known = self._made.get(sees.namespaces)
            if known is not None and known[0] == version and now - known[1] < FRESH:
                return known[2]
            try:
                made = _make(api, sees)
            except StoreError as error:
                return _without_store(api, sees, str(error))
            self._made[sees.namespaces] = version, now, made
            return made


def _make(api: ApiContext, sees: Scope) -> dict[str, Any]:
    now, verdicts = api.engine.clock.now(), api.rules.verdicts
    counts, known = verdicts.counts(sees.rules), verdicts.known(sees.rules)
    lines = [line for line in api.sources.summaries() if sees.has_source(line["name"])]
    live, ended = api.read(overview.live_runs, sees), api.read(overview.ended_runs, now - LATELY, sees)
    wake = api.read(statements.next_wake)
    found = [*needs.of_rules(known, now), *needs.of_sources(lines), *needs.of_store(api, sees, now)]
    return {
        "health": _health(api, sees, lines, lag=max(0.0, now - wake) if wake is not None else 0.0),
        "needs": _shown([*found, *needs.of_process(api, sees)]),
        "verdicts": {"rules": counts.rules, "known": counts.known, "by": _reasons(counts.by)},
        "runs": {
            "live": live.by,
            "ended": ended.by,
            "since": now - LATELY,
            "more": live.more or ended.more,
            **_listed(api, sees),
        },
    }


def _listed(api: ApiContext, sees: Scope) -> dict[str, Any]:
    """Return the runs that are shown one by one."""
    page = PageRequest(limit=SHOWN)
    running = api.read(queries.runs, phase=RunPhase.RUNNING.value, scope=sees, page=page)
    return {"running": running.items, "last_ended": api.read(queries.last_ended, SHOWN, sees)}


def _without_store(api: ApiContext, sees: Scope, error: str) -> dict[str, Any]:
    """Return what is known without the store."""
    since = api.engine.clock.now() - LATELY
    rules = len(api.engine.catalog.rules if sees.rules is None else sees.rules)
    return {
        "health": _health(api, sees, [], store="the store does not answer" if sees.limited else error),
        "needs": _shown(needs.of_process(api, sees)),
        "verdicts": {"rules": rules, "known": 0, "by": []},
        "runs": {"live": {}, "ended": {}, "since": since, "more": False, "running": [], "last_ended": []},
    }


def _shown(groups: Iterable[needs.NeedingGroup]) -> list[dict[str, Any]]:
    order = get_args(needs.Kind).index
    return [
        {
            "kind": group.kind,
            "count": group.count,
            "more": group.more,
            "way_out": group.way_out,
            "items": [
                {name: getattr(item, name) for name in ("name", "sentence", "since", "rule", "run", "source", "act")}
                for item in group.items
            ],
        }
        for group in sorted(groups, key=lambda group: order(group.kind))
    ]


def _reasons(by: Mapping[tuple[str, str], int]) -> list[dict[str, Any]]:
    ordered = sorted(by.items(), key=lambda one: (rank(*one[0]), -one[1], one[0]))
    return [
        {"decision": decision, "reason": reason, "count": count, "idle": rank(decision, reason) >= FIRES}
        for (decision, reason), count in ordered
    ]


def _health(
    api: ApiContext, sees: Scope, lines: Sequence[dict[str, Any]], *, store: str = "", lag: float = 0.0
) -> dict[str, Any]:
    role, leader = role_of(api, store)
    reasons = api.unready()
    found = {
        "instance": api.settings.name,
        "role": role,
        "leader": leader,
        "ready": not reasons,
        "reasons": reasons,
        "store": store,
        "lag_seconds": round(lag, 1),
        "queued": api.engine.queued,
        "rules": len(api.engine.catalog.rules if sees.rules is None else sees.rules),
        "rule_problems": 0 if sees.limited else len(api.rule_problems()),
        "sources": len(lines),
        "working": sum(1 for line in lines if line["up"] and not line["halted"]),
        "halted": sum(1 for line in lines if line["halted"]),
    }
    return {**found, "sentence": _sentence(found)}


def role_of(api: ApiContext, store: str = "") -> tuple[str, str]:
    """Return the role of this replica, and the URL of the leader if it is another. ``store``: why it cannot be read."""
    if not api.engine.standby:
        return "leader", ""
    try:
        leader = "" if store else api.leader()
    except StoreError:
        leader = ""
    return ("standby" if leader or store else "no_leader"), leader


ROLES: Final = {
    "leader": "This replica decides",
    "standby": "This replica is a standby; another one decides",
    "no_leader": "No replica decides: this one is a standby, and there is no leader",
}
"""What each role means."""


def _sentence(health: dict[str, Any]) -> str:
    role = ROLES[health["role"]]
    if health["store"]:
        return f"{role}. The store cannot be read: {health['store']}."
    lag = health["lag_seconds"]
    late = f"decisions are {many(round(lag), 'second')} late" if lag > LAGS else "decisions are up to date"
    mistakes = f", {many(health['rule_problems'], 'mistake')} in rule files" if health["rule_problems"] else ""
    halted = f", {health['halted']} halted" if health["halted"] else ""
    verb = "works" if health["sources"] == 1 else "work"
    working = f"{health['working']} of {many(health['sources'], 'source')} {verb}{halted}"
    return f"{role}; {late}. {many(health['rules'], 'rule')}{mistakes}; {working}."
