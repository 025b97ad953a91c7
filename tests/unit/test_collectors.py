"""Metrics that are counted in the store, on a real one."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import insert

from retrainer.config.configuration import configuration
from retrainer.config.models import Budget, Rule
from retrainer.daemon.collectors import PAGE, SHORTEST_REST, StoreCollector, free_bytes
from retrainer.engine.core.catalog import EMPTY, Catalog, build_catalog
from retrainer.rules.state import VERSION, Cursor, State, encode
from retrainer.rules.threshold_state import Series, ThresholdState
from retrainer.rules.window import Window
from retrainer.runs.run import Run, RunPhase
from retrainer.store import tables as t
from retrainer.store.rows import run_to_row
from retrainer.store.sqlite import SqliteStore
from retrainer.telemetry.engine_metrics import EngineStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path


@dataclass
class Clock:
    at: float = 0.0

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at

    def wall(self) -> float:
        return self.at


@dataclass
class Looking:
    name: str
    last_error: str | None = None
    poll_errors: int = 0
    lag: int | None = None
    halted: Mapping[str, str] = field(default_factory=dict)
    lag_is_shared: bool = False

    def start(self) -> None: ...

    def stop(self) -> None: ...


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore.open(tmp_path / "s.db")
    yield opened
    opened.close()


def put_states(store: SqliteStore, rule: str, states: list[State], first_id: int = 1) -> None:
    rows = [
        {
            "id": first_id + place,
            "rule": rule,
            "key": str(place or ""),
            "revision": "r",
            "version": VERSION,
            "state": encode(state),
            "touched_at": 0.0,
        }
        for place, state in enumerate(states)
    ]
    with store.write() as conn:
        conn.execute(insert(t.states), rows)


def put_run(store: SqliteStore, run: str, phase: RunPhase, **fields: Any) -> None:
    made = Run(run, "churn", "", phase, f"churn-{run}", "ml", {}, {}, {}, "nightly", "schedule", 0.0, **fields)
    with store.write() as conn:
        conn.execute(insert(t.runs).values(run_to_row(made)))


def collector(
    store: SqliteStore,
    clock: Clock | None = None,
    sources: dict[str, Any] | None = None,
    expected: dict[str, float | None] | None = None,
    catalog: Callable[[], Catalog] = lambda: EMPTY,
    trouble: str = "",
    leads: bool = True,
) -> StoreCollector:
    return StoreCollector(
        store,
        clock or Clock(),
        lambda: EngineStatus(queued=4, watch_restarts=5, store_free_bytes=7, store_writable=not trouble, leader=leads),
        catalog=catalog,
        sources=lambda: sources or {},
        expected=lambda: expected or {},
    )


def catalog(
    *triggers: dict[str, Any],
    budgets: dict[str, Any] | None = None,
    rule: Mapping[str, Any] = MappingProxyType({}),
    **limits: Any,
) -> Catalog:
    """The catalog of a rule `churn` with these triggers."""
    submit = {"workflow_template": "t"}
    raw = {"name": "churn", "triggers": dict(*triggers), "limits": limits, "submit": submit, **rule}
    shared = {name: Budget.model_validate(budget) for name, budget in (budgets or {}).items()}
    return build_catalog(configuration([Rule.model_validate(raw)], {}, {}, {}, shared, {}), ())


def test_live_runs_are_counted_and_ended_ones_are_not(store: SqliteStore) -> None:
    put_run(store, "a", RunPhase.RUNNING)
    put_run(store, "b", RunPhase.RUNNING)
    put_run(store, "c", RunPhase.PENDING)
    put_run(store, "d", RunPhase.SUCCEEDED, ended_at=1.0)
    seen = collector(store)()
    assert seen.rules.active == {("churn", RunPhase.RUNNING): 2, ("churn", RunPhase.PENDING): 1}
    assert (seen.engine.queued, seen.engine.watch_restarts) == (4, 5)
    assert seen.engine.store_bytes > 0


def test_pending_data_adds_up_over_the_keys_of_a_rule(store: SqliteStore) -> None:
    window = Window(events=2, bytes=30, rows=4, ranges=((1, 2),))
    keys = PAGE + 3  # more than one page
    put_states(store, "churn", [State(0.0, window=window)] * keys)
    put_states(store, "idle", [State(0.0)], first_id=keys + 1)
    assert collector(store)().rules.pending == {"churn": (2 * keys, 4 * keys, 30 * keys)}


def test_the_next_fire_is_the_soonest_slot(store: SqliteStore) -> None:
    cursors = {"nightly": Cursor(0.0, 500.0), "hourly": Cursor(0.0, 100.0), "never": Cursor(0.0, None)}
    put_states(store, "churn", [State(0.0, cursors=cursors)])
    assert collector(store)().rules.next_fire == {"churn": 100.0}


def series(*values: float | None) -> ThresholdState:
    return ThresholdState(
        {str(place): Series(value, 0.0, live=value is not None) for place, value in enumerate(values)}
    )


@pytest.mark.parametrize(
    ("asked", "furthest"),
    [
        pytest.param({"above": 0.2}, 0.9, id="distances: the highest"),
        pytest.param({"below": 0.2}, 0.1, id="p-values: the lowest"),
    ],
)
def test_the_furthest_value_over_keys_and_series(store: SqliteStore, asked: dict[str, Any], furthest: float) -> None:
    rules = catalog({"drift": {"metric": {"source": "p", **asked}}, "page": {"alert": {"source": "a"}}})
    gauges = [series(0.5, 0.9), series(None), series(0.1)]
    put_states(
        store, "churn", [State(0.0, gauges={"drift": g, "page": series(1.0), "gone": series(7)}) for g in gauges]
    )
    assert collector(store, catalog=lambda: rules)().rules.values == {"churn": {"drift": furthest}}


def test_a_model_is_as_old_as_its_oldest_key(store: SqliteStore) -> None:
    ages = [(None, None), (500.0, None), (300.0, 200.0), (400.0, 350.0)]
    put_states(store, "churn", [State(0.0, last_succeeded=s, last_promoted=p) for s, p in ages])
    seen = collector(store)()
    assert (seen.rules.trained, seen.rules.promoted) == ({"churn": 300.0}, {"churn": 200.0})


NIGHTLY = {"nightly": {"schedule": {"cron": "@daily"}}}
NEW_DATA = {"new": {"data": {"source": "push", "batch": {"at_least": {"events": 1}}}}}
PER_KEY = {"for_each": {"by": {"new": "event.subject"}}}


@pytest.mark.parametrize(
    ("rule", "states", "waits", "succeeded", "fired"),
    [
        pytest.param({}, [State(30.0)], {"churn": 30}, {}, {}, id="never trained"),
        pytest.param(
            {}, [State(30.0, last_fired=40.0, last_succeeded=50.0)], {}, {"churn": 50}, {"churn": 40}, id="trained"
        ),
        pytest.param(
            PER_KEY,
            [State(10.0), State(30.0, last_succeeded=60.0), State(20.0), State(5.0, last_succeeded=50.0)],
            {"churn": 20},
            {"churn": 60},
            {},
            id="of keys, the one that has waited longest; the empty key has no model",
        ),
        pytest.param(
            {"mode": "shadow"}, [State(1.0, last_fired=2.0, last_succeeded=3.0)], {}, {}, {}, id="a shadow does not"
        ),
    ],
)
def test_what_waits_for_its_first_success_and_what_had_one(
    store: SqliteStore, rule: dict[str, Any], states: list[State], waits: Any, succeeded: Any, fired: Any
) -> None:
    rules = catalog(NEW_DATA, rule=rule)
    put_states(store, "churn", states)
    seen = collector(store, catalog=lambda: rules)()
    assert (seen.rules.untrained, seen.rules.succeeded, seen.rules.fired) == (waits, succeeded, fired)


OF_PROMOTED = {"stale": {"freshness": {"max_age": "7d", "of": "promoted"}}}


@pytest.mark.parametrize(
    ("triggers", "rule", "states", "waits"),
    [
        pytest.param(OF_PROMOTED, {}, [State(30.0, last_succeeded=50.0)], {"churn": 30}, id="trained, never promoted"),
        pytest.param(OF_PROMOTED, {}, [State(30.0, last_promoted=50.0)], {}, id="promoted"),
        pytest.param(NEW_DATA, {}, [State(30.0)], {}, id="nobody counts what is promoted"),
        pytest.param(
            NEW_DATA | OF_PROMOTED, PER_KEY, [State(10.0), State(30.0)], {"churn": 30}, id="the empty key has none"
        ),
    ],
)
def test_what_waits_to_be_promoted_at_all(
    store: SqliteStore, triggers: dict[str, Any], rule: dict[str, Any], states: list[State], waits: Any
) -> None:
    rules = catalog(triggers, rule=rule)
    put_states(store, "churn", states)
    assert collector(store, catalog=lambda: rules)().rules.unpromoted == waits


def test_failures_in_a_row_are_those_of_the_worst_key(store: SqliteStore) -> None:
    rules = catalog(NEW_DATA, rule=PER_KEY)
    put_states(store, "churn", [State(0.0), State(0.0, failures=2), State(0.0, failures=3, broken=True), State(0.0)])
    seen = collector(store, catalog=lambda: rules)()
    assert seen.rules.failures == {"churn": 3}
    assert seen.rules.paused == {"churn": {"manual": False, "failures": True, "quarantine": False}}


@pytest.mark.parametrize(("refused", "failed"), [("no such key: auc", {"churn"}), ("", set())])
def test_parameters_failed_if_the_last_run_of_any_key_was_not_created(
    store: SqliteStore, refused: str, failed: set[str]
) -> None:
    rules = catalog(NEW_DATA, rule=PER_KEY)
    put_states(store, "churn", [State(0.0), State(0.0, lapsed=True, refused=refused), State(0.0)])
    assert collector(store, catalog=lambda: rules)().rules.parameters_failed == failed


@pytest.mark.parametrize(
    ("mode", "by_hand", "paused"),
    [
        pytest.param("active", False, False, id="active"),
        pytest.param("paused", False, True, id="by its mode"),
        pytest.param("active", True, True, id="by the command"),
    ],
)
def test_who_paused_a_rule(store: SqliteStore, mode: str, by_hand: bool, paused: bool) -> None:
    rules = catalog(NIGHTLY, rule={"mode": mode}).paused("churn", by_hand=by_hand)
    assert collector(store, catalog=lambda: rules)().rules.paused == {
        "churn": {"manual": paused, "failures": False, "quarantine": False}
    }


def test_how_often_a_rule_is_meant_to_run_follows_the_rules(store: SqliteStore) -> None:
    rules = catalog(NIGHTLY)
    counted = collector(store, Clock(1e9), catalog=lambda: rules)
    assert counted().rules.periods == {"churn": 86400}
    rules = build_catalog(configuration([], {}, {}, {}, {}, {}), ())
    assert counted().rules.periods == {}


def test_the_store_is_writable_until_the_engine_says_why_not(store: SqliteStore) -> None:
    assert (
        collector(store)().engine.store_writable,
        collector(store, trouble="disk full")().engine.store_writable,
    ) == (True, False)


def test_room_is_that_of_the_volume_of_the_file(tmp_path: Path) -> None:
    assert free_bytes(str(tmp_path / "store.db")) == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.1)
    assert free_bytes(str(tmp_path / "gone" / "store.db")) is None


def test_a_budget_of_a_rule_leaves_what_its_runs_did_not_take(store: SqliteStore) -> None:
    rules = catalog(NIGHTLY, budget={"runs": 3, "gpu_hours": 10, "per": "1d", "reserve": 4})
    put_run(store, "a", RunPhase.SUCCEEDED, admitted_at=50.0, ended_at=60.0, uid="u", gpu_hours=2.5)
    put_run(store, "b", RunPhase.RUNNING, admitted_at=70.0, uid="v")
    put_run(store, "c", RunPhase.PENDING)
    left = collector(store, Clock(100.0), catalog=lambda: rules)().rules.budget_left
    assert left == {"rule/churn": {"runs": 1, "gpu_hours": 3.5}}, "what waits has spent nothing"


def test_a_shared_budget_that_nobody_uses_is_whole_and_an_overspent_one_is_empty(store: SqliteStore) -> None:
    shared = {"growth": {"gpu_hours": 2, "per": "1d"}, "idle": {"runs": 5, "per": "1d"}}
    rules = catalog(NIGHTLY, budgets=shared, budget="growth")
    put_run(store, "a", RunPhase.SUCCEEDED, admitted_at=50.0, ended_at=60.0, uid="u", gpu_hours=2.5)
    left = collector(store, Clock(100.0), catalog=lambda: rules)().rules.budget_left
    assert left == {"growth": {"gpu_hours": 0.0}, "idle": {"runs": 5}}


def test_new_rules_are_counted_at_once(store: SqliteStore) -> None:
    rules = EMPTY
    counted = collector(store, catalog=lambda: rules)
    assert counted().rules.budget_left == {}
    rules = catalog(NIGHTLY, budget={"runs": 3, "per": "1d"})
    assert counted().rules.budget_left == {"rule/churn": {"runs": 3}}


def test_states_are_counted_anew_only_after_a_rest(store: SqliteStore) -> None:
    clock = Clock()
    counted = collector(store, clock)
    assert counted().rules.pending == {}
    put_states(store, "churn", [State(0.0, window=Window(events=1, ranges=((1, 1),)))])
    assert counted().rules.pending == {}
    clock.at += SHORTEST_REST
    assert counted().rules.pending == {"churn": (1, 0, 0)}


def test_a_source_is_up_unless_something_keeps_it_from_its_work(store: SqliteStore) -> None:
    sources = {"lake": Looking("lake"), "lost": Looking("lost", "no such folder", 3), "push": None}
    seen = collector(store, sources=sources)()
    assert seen.sources.up == {"lake": True, "lost": False, "push": True}
    assert seen.sources.poll_errors == {"lake": 0, "lost": 3}


def test_what_a_source_knows_of_its_backlog_is_told(store: SqliteStore) -> None:
    halted = {"orders/0": "records are gone"}
    sources = {"orders": Looking("orders", lag=7, halted=halted), "lake": Looking("lake"), "push": None}
    seen = collector(store, sources=sources)()
    assert seen.sources.lag == {"orders": 7}
    assert seen.sources.halted == {"orders": 1, "lake": 0}


@pytest.mark.parametrize(("leads", "told"), [(True, {"topic": 7, "queue": 9}), (False, {"topic": 7})])
def test_the_lags_of_all_replicas_add_up(store: SqliteStore, leads: bool, told: dict[str, int]) -> None:
    sources = {"topic": Looking("topic", lag=7), "queue": Looking("queue", lag=9, lag_is_shared=True)}
    assert collector(store, sources=sources, leads=leads)().sources.lag == told


def test_silence_counts_from_the_last_event_or_else_from_when_the_source_came(store: SqliteStore) -> None:
    with store.write() as conn:
        rows = [("lake", 100.0, 500.0), ("new", 100.0, None), ("free", 0.0, None)]
        names = ("name", "first_seen_at", "last_event_at")
        conn.execute(insert(t.sources), [dict(zip(names, row, strict=True)) for row in rows])
    clock = Clock(160.0)
    counted = collector(store, clock, expected={"lake": 60.0, "new": 60.0, "free": None, "unseen": 60.0})
    assert counted().sources.silent == {"lake": False, "new": False, "unseen": False}
    assert counted().sources.last_event == {"lake": 500.0}
    clock.at = 161.0
    assert counted().sources.silent == {"lake": False, "new": True, "unseen": False}
    clock.at = 561.0
    assert counted().sources.silent == {"lake": True, "new": True, "unseen": False}
