"""`explain` for metrics, alerts, ages and groups: one line each, and the earliest time of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from retrainer.config.models import Calendar
from retrainer.config.models import Rule as Model
from retrainer.rules.compile import CompiledRule, compile_rule
from retrainer.rules.explain import explain
from retrainer.rules.limits import RemainingBudget
from retrainer.rules.triggers.level import MAX_SERIES
from tests.unit.rules.world import DATA, START, World, metric, rule

if TYPE_CHECKING:
    from collections.abc import Callable

HOUR, DAY = 3600.0, 86400.0
AGE = {"stale": {"freshness": {"max_age": "14d", "jitter": "0s"}}}
AFTER = {"rebuilt": {"after": {"rule": "features"}}}
PAGE = {"page": {"alert": {"source": "alerts", "match": {"alertname": "ModelDrift"}}}}


def ran(world: World) -> None:
    world.poll(0.3)
    world.after(HOUR).end()


CASES: list[Any] = [
    pytest.param(
        rule(metric()), lambda w: None, "churn is held: no_data (drift: no series has data)", None, id="never polled"
    ),
    pytest.param(
        rule(metric()),
        lambda w: w.poll_fails(),
        "churn is held: no_data (drift: connection refused)",
        None,
        id="the source does not answer",
    ),
    pytest.param(
        rule(metric()),
        lambda w: w.poll(0.1),
        "churn is held: below_threshold (drift: 0.1 against > 0.2)",
        None,
        id="low",
    ),
    pytest.param(
        rule(metric(below=0.05)),
        lambda w: w.poll(0.1),
        "churn is held: below_threshold (drift: 0.1 against < 0.05)",
        None,
        id="a threshold from above",
    ),
    pytest.param(
        rule(metric(at_least={"series": 3})),
        lambda w: w.poll({"a": 0.3, "b": 0.9, "c": 0}),
        "churn is held: below_threshold (drift: 2 of 3 series > 0.2 (3 needed), the highest at 0.9)",
        None,
        id="too few series",
    ),
    pytest.param(
        rule(metric(at_least={"series": 2}, **{"for": "30m"})),
        lambda w: w.poll({"a": 0.31, "b": 0}),
        "churn is held: below_threshold (drift: 0 of 2 series > 0.2 for long enough (2 needed), the highest at 0.31)",
        None,
        id="past the threshold, but not for long enough, and too few",
    ),
    pytest.param(
        rule(metric(at_least={"series": 2}, clear=0.1)),
        lambda w: (w.poll({"a": 0.3, "b": 0}), w.poll({"a": 0.15, "b": 0})),
        "churn is held: below_threshold "
        "(drift: 1 of 2 series > 0.2 and not cleared yet (2 needed), the highest at 0.15)",
        None,
        id="below the threshold, but not cleared, and too few",
    ),
    pytest.param(
        rule(metric(**{"for": "30m"})),
        lambda w: w.poll(0.3),
        "churn is held: for_pending (drift: 0.3 against > 0.2); at the earliest 2027-01-15T08:30:00Z",
        START + 1800,
        id="high, but not for long enough",
    ),
    pytest.param(
        rule(metric(jitter="1h")),
        lambda w: (setattr(w, "state", w.state.but(share=0.5)), w.poll(0.3)),
        "churn is held: for_pending (drift: 0.3 against > 0.2, crossed at the first evaluation: delayed by `jitter`); "
        "at the earliest 2027-01-15T08:30:00Z",
        START + 1800,
        id="high already when the rule first looks",
    ),
    pytest.param(
        rule(metric(repeat_interval="1d")),
        ran,
        "churn is held: quiet (drift: 0.3 against > 0.2, answered by a run already); at the earliest "
        "2027-01-16T09:00:00Z",
        START + HOUR + DAY,
        id="answered already",
    ),
    pytest.param(
        rule(PAGE),
        lambda w: w.alert(False, START),
        "churn is held: below_threshold (page: 0 alerts firing)",
        None,
        id="an alert that was resolved",
    ),
    pytest.param(
        rule(AGE),
        lambda w: w.after(DAY),
        "churn is idle: fresh (stale: 1d old, at most 14d); at the earliest 2027-01-29T08:00:00Z",
        START + 14 * DAY,
        id="young enough",
    ),
    pytest.param(rule(AFTER), lambda w: None, "churn is idle (nothing is due)", None, id="no upstream run yet"),
    pytest.param(
        rule({"new": DATA, **metric()}, when={"all": ["new", "drift"]}),
        lambda w: w.event(),
        "churn is held: missing_trigger (new: 1 event; waiting for drift)",
        None,
        id="one of two",
    ),
    pytest.param(
        rule({"new": DATA, **metric()}, when={"all": ["new", "drift"], "within": "1h"}),
        lambda w: (w.event(), w.after(2 * HOUR).poll(0.1)),
        "churn is held: missing_trigger (new: 1 event, longer ago than `within`; waiting for new, drift)",
        None,
        id="one of two, too long ago",
    ),
    pytest.param(
        rule({"n": {"schedule": {"cron": "0 * * * *"}}, "new": DATA}, when={"all": ["n", "new"], "within": "30m"}),
        lambda w: w.event(),
        "churn is held: missing_trigger (new: 1 event; waiting for n)",
        None,
        id="all within a time: not by the next slot, which comes too late",
    ),
    pytest.param(
        rule({"n": {"schedule": {"cron": "0 * * * *"}}, "new": DATA}, when={"all": ["n", "new"], "within": "2h"}),
        lambda w: w.event(),
        "churn is held: missing_trigger (new: 1 event; waiting for n); at the earliest 2027-01-15T09:00:00Z",
        START + HOUR,
        id="all within a time: by the next slot",
    ),
    pytest.param(
        rule({"n": {"schedule": {"cron": "0 * * * *"}}, **AGE}, when={"all": ["n", "stale"]}),
        lambda w: None,
        "churn is idle: fresh (stale: 0s old, at most 14d); at the earliest 2027-01-29T08:00:00Z",
        START + 14 * DAY,
        id="all of them: not before the last",
    ),
    pytest.param(
        rule({"n": {"schedule": {"cron": "0 * * * *"}}, **metric()}, when={"all": ["n", "drift"]}),
        lambda w: w.poll(0.1),
        "churn is held: below_threshold (drift: 0.1 against > 0.2)",
        None,
        id="all of them: one depends on what comes",
    ),
    pytest.param(
        rule({"new": DATA, **PAGE}, unless=["page"]),
        lambda w: w.alert(True, START),
        "churn is held: inhibited (page: 1 alert firing)",
        None,
        id="held back",
    ),
]


@pytest.mark.parametrize(("compiled", "before", "verdict", "earliest"), CASES)
def test_the_verdict_is_one_line_with_its_reason(
    compiled: CompiledRule, before: Callable[[World], Any], verdict: str, earliest: float | None
) -> None:
    world = World(compiled)
    before(world)
    told = explain(compiled, "", world.state, world.now)
    assert told["verdict"] == verdict
    assert told["earliest"] == earliest


def test_a_spent_budget_says_what_is_spent_and_until_when() -> None:
    spent = RemainingBudget(0, "3 of 3 runs in 1d", START + HOUR)
    world = World(rule())
    world.remaining_budget = spent
    world.event()
    told = explain(world.rule, "", world.state, world.now, spent)
    assert told["verdict"] == "churn is held: budget (3 of 3 runs in 1d); at the earliest 2027-01-15T09:00:00Z"
    assert nodes(told)["budget"] == ("spent", "3 of 3 runs in 1d")


def nodes(told: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Every node of the tree by name, with its state and detail."""

    def walk(level: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [each for node in level for each in (node, *walk(node["children"]))]

    return {node["name"]: (node["state"], node["detail"]) for node in walk(told["tree"])}


def test_the_tree_shows_triggers_as_when_combines_them() -> None:
    triggers = {"new": DATA, **metric(), **AGE, **PAGE, **AFTER}
    when = {"any": ["stale", {"all": ["new", "drift"], "within": "1h"}, "rebuilt"]}
    world = World(rule(triggers, when=when, unless=["page"]))
    world.event()
    shown, unless, limits = explain(world.rule, "", world.state, world.now)["tree"]
    assert (shown["name"], shown["state"]) == ("when any", "waiting")
    assert [child["name"] for child in shown["children"]] == ["stale", "all", "rebuilt"]
    assert [child["name"] for child in shown["children"][1]["children"]] == ["new", "drift"]
    assert shown["children"][1]["detail"] == "within 1h"
    assert [(child["name"], child["state"]) for child in unless["children"]] == [("page", "no_data")]
    assert limits["name"] == "limits"


def test_the_tree_lists_each_series_and_how_it_stands() -> None:
    world = World(rule(metric(**{"for": "30m"}, at_least={"series": 4})))
    world.poll({"raised": 0.3, "gone": 0.3, "low": 0.1})
    world.after(HOUR).poll({"raised": 0.3, "crossed": 0.25, "low": 0.1, "never": None})
    shown = nodes(explain(world.rule, "", world.state, world.now))
    assert shown["raised"] == ("raised", "0.3 at 2027-01-15T09:00:00Z")
    assert shown["crossed"] == ("crossed", "0.25 at 2027-01-15T09:00:00Z")
    assert shown["gone"] == ("no_data", "0.3 at 2027-01-15T08:00:00Z")
    assert shown["low"] == ("clear", "0.1 at 2027-01-15T09:00:00Z")
    assert shown["never"] == ("no_data", "no value yet")


def test_of_many_series_those_that_crossed_come_first_and_the_rest_is_counted() -> None:
    world = World(rule(metric(at_least={"series": 2})))
    world.poll({**{f"s{i}": 0.0 for i in range(MAX_SERIES - 1)}, "zz": 0.3})
    (drift,) = explain(world.rule, "", world.state, world.now)["tree"][0]["children"]
    assert drift["children"][0]["name"] == "zz"
    assert (drift["children"][-1]["name"], drift["children"][-1]["state"]) == ("more", str(MAX_SERIES - 20))


def test_a_gauge_without_any_series_that_fires_is_shown() -> None:
    world = World(rule(metric(no_data="fire")))
    world.poll({})
    assert nodes(explain(world.rule, "", world.state, world.now))["no series"] == ("no_data", "no value yet")


@pytest.mark.parametrize(
    ("calendar", "detail"),
    [
        pytest.param({"times": ["06:00-10:00"]}, ("muted", "busy until 2027-01-15T10:00:00Z"), id="until it ends"),
        pytest.param({"times": ["00:00-24:00"]}, ("muted", "busy, never ends"), id="without an end"),
        pytest.param({"times": ["10:00-12:00"]}, ("off", "busy"), id="off"),
    ],
)
def test_the_tree_says_until_when_it_is_muted(calendar: dict[str, Any], detail: tuple[str, str]) -> None:
    body = {
        "name": "churn",
        "triggers": {"new": DATA},
        "limits": {"mute": ["busy"]},
        "submit": {"workflow_template": "t"},
    }
    compiled = compile_rule(Model.model_validate(body), "r1", {"busy": Calendar.model_validate(calendar)})
    told = explain(compiled, "", World(compiled).state, START)
    assert nodes(told)["mute"] == detail


def test_the_tree_says_how_a_rest_is_stretched_and_when_it_gives_up() -> None:
    limits = {"cooldown": {"period": "1h"}, "deadline": "12h"}
    world = World(rule(limits=limits, feedback={"backoff": {"factor": 2}}))
    for _ in range(2):
        world.event()
        world.wake_until(world.state.wake_at or world.now)
        world.end(promoted=False)
    world.event()
    shown = nodes(explain(world.rule, "", world.state, world.now))
    assert shown["cooldown"] == ("resting", "until 2027-01-15T14:00:00Z (4h, 2 not promoted)")
    assert shown["deadline"] == ("running", "skipped at 2027-01-15T22:00:00Z")


def test_what_a_deadline_gave_up_is_said_to_wait_for_something_new() -> None:
    world = World(rule({"new": DATA}, {"cooldown": {"period": "1h"}, "deadline": "10m"}))
    world.event()
    world.end()
    world.after(60).event()
    world.wake_until(world.now + 600)
    told = explain(world.rule, "", world.state, world.now)
    assert told["verdict"] == "churn is idle (skipped; the pending data waits for new data)"
    assert nodes(told)["new"] == ("given up", "1 event; waits for new data")
    world.event()
    assert explain(world.rule, "", world.state, world.now)["reason"] == "cooldown"


def test_what_it_calls_the_earliest_is_when_it_runs() -> None:
    world = World(rule(metric(**{"for": "30m"}), {"cooldown": {"period": "6h"}}))
    world.manual()
    world.end()
    world.poll(0.3)
    earliest = explain(world.rule, "", world.state, world.now)["earliest"]
    decided = world.wake_until(START + 12 * HOUR)
    assert decided[-1] == "fire threshold"
    assert world.state.last_fired == earliest


def test_it_looks_as_of_now_though_nothing_woke_it() -> None:
    world = World(rule(metric(**{"for": "30m"})))
    world.poll(0.3)
    assert explain(world.rule, "", world.state, START + HOUR)["decision"] == "fire"
