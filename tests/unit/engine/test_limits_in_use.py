"""Who holds and who waits for pools, what budgets have left, and which calendars are active."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrainer.engine.runs import limits_in_use
from retrainer.engine.runs.limits_in_use import CalendarUse
from retrainer.store.scope import ALL, Scope
from tests.unit.engine.kit import DAY, event, start
from tests.unit.engine.test_agenda import at_, every, frozen

if TYPE_CHECKING:
    from typing import Any

    from tests.houses.engine import DrivenEngine
    from tests.unit.engine.kit import Make


def pools(bench: DrivenEngine, scope: Scope = ALL) -> list[dict[str, Any]]:
    return bench.store.read(lambda conn: limits_in_use.pools(conn, bench.engine.catalog, scope, bench.clock.time))


def test_a_pool_says_who_holds_and_who_is_next(make: Make) -> None:
    rules = [{"limits": {"pool": "gpu", "priority": i}} for i in range(3)]
    bench = make(*rules, pools={"gpu": 1, "idle": 2})
    bench.deliver([event(1)])
    gpu, idle = pools(bench)
    assert (gpu["name"], gpu["size"], gpu["used"], gpu["waiting"], gpu["rules"]) == ("gpu", 1, 1, 2, 3)
    assert [run["rule"] for run in gpu["holders"]] == ["rule-2"]
    assert [(run["place"], run["rule"], run["priority"]) for run in gpu["queue"]] == [
        (1, "rule-1", 1),
        (2, "rule-0", 0),
    ]
    assert (idle["name"], idle["used"], idle["holders"]) == ("idle", 0, [])
    run = start(bench)[0]
    assert gpu["holders"][0]["run"] == run.id


def test_runs_of_others_are_counted_and_not_named(make: Make) -> None:
    bench = make(*({"limits": {"pool": "gpu", "priority": i}} for i in range(3)), pools={"gpu": 1, "theirs": 2})
    bench.deliver([event(1)])
    (gpu,) = pools(bench, Scope(frozenset({"ml"}), frozenset({"rule-1"}), frozenset()))
    assert (gpu["used"], gpu["waiting"], gpu["rules"]) == (1, 2, 1)
    assert gpu["holders"] == []
    assert [run["rule"] for run in gpu["queue"]] == ["rule-1"]


def test_a_budget_says_who_spent_it_and_when_it_renews(make: Make) -> None:
    bench = make(*({"limits": {"budget": "team"}} for _ in range(2)))
    bench.budgets({"team": {"runs": 2, "gpu_hours": 10, "reserve": 4, "per": "1d"}})
    bench.deliver([event(1)])
    start(bench)
    ask = limits_in_use.budget
    found = bench.store.read(lambda conn: ask(conn, bench.engine.catalog, "team", ALL, bench.clock.time))
    assert (found["spent_runs"], found["left_runs"], found["exhausted"]) == (2, 0, True)
    assert (found["spent_gpu_hours"], found["left_gpu_hours"]) == (8, 2)
    assert found["renews_at"] == bench.clock.time + DAY
    assert [(s["rule"], s["runs"], s["gpu_hours"], s["active"]) for s in found["spenders"]] == [
        ("rule-0", 1, 4, 1),
        ("rule-1", 1, 4, 1),
    ]
    scope = Scope(frozenset({"ml"}), frozenset({"rule-1"}), frozenset())
    found = bench.store.read(lambda conn: ask(conn, bench.engine.catalog, "team", scope, bench.clock.time))
    assert [s["rule"] for s in found["spenders"]] == ["", "rule-1"]


def test_calendars_say_what_they_touch_and_when_they_change(make: Make) -> None:
    bench = make({})
    at_(bench, "2027-06-01T12:00:00Z")
    rules = [{**every("0 3 * * *"), "limits": {"mute": ["freeze"]}}, every("0 3 * * *", **{"except": ["freeze"]})]
    frozen(bench, rules, "2027-06-02")
    use = CalendarUse(bench.engine.catalog, None)
    (before,) = use.at(bench.clock.time)
    assert (before["name"], before["active"], before["mutes"], before["excepts"]) == (
        "freeze",
        False,
        ["rule-0"],
        ["rule-1"],
    )
    (within,) = use.at(before["changes_at"])
    assert within["active"]
    assert within["changes_at"] == before["changes_at"] + DAY
    (seen,) = CalendarUse(bench.engine.catalog, {"rule-1"}).at(bench.clock.time)
    assert (seen["mutes_count"], seen["excepts_count"]) == (0, 1)
