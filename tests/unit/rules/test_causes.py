"""The tree of causes of a run, as it is stored with the run."""

from __future__ import annotations

from typing import Any

from tests.unit.rules.world import World, batch, metric, rule


def because(world: World) -> dict[str, Any]:
    return dict(world.births[-1].because)


def test_one_trigger_of_any() -> None:
    world = World(rule(batch(at_least={"events": 2})))
    world.event()
    world.event()
    assert because(world) == {
        "any": [
            {
                "trigger": "new",
                "reason": "batch_complete",
                "detail": "2 events",
                "events": 2,
                "at_least": {"events": 2},
            }
        ]
    }


def test_a_metric_says_its_value_and_its_thresholds() -> None:
    world = World(rule(metric(above=0.2, clear=0.1, jitter="0s")))
    world.poll(0.31)
    (node,) = because(world)["any"]
    assert {
        "trigger": "drift",
        "reason": "threshold",
        "value": 0.31,
        "above": 0.2,
        "clear": 0.1,
    }.items() <= node.items()


def test_a_metric_that_fires_low_says_so() -> None:
    world = World(rule({"drift": {"metric": {"source": "p", "expr": "p_value", "below": 0.05, "jitter": "0s"}}}))
    world.poll(0.01)
    (node,) = because(world)["any"]
    assert (node["value"], node["below"], "above" in node) == (0.01, 0.05, False)


def test_age_says_how_old_is_too_old() -> None:
    world = World(rule({"stale": {"freshness": {"max_age": "14d", "jitter": "0s"}}}))
    world.wake()
    (node,) = because(world)["any"]
    assert (node["reason"], node["max_age_seconds"]) == ("stale", 14 * 86400)


def test_groups_keep_their_shape_and_leave_out_what_was_not_satisfied() -> None:
    triggers = {
        **batch(at_least={"events": 1}),
        **metric(above=0.2, jitter="0s"),
        "page": {"alert": {"source": "alerts", "match": {"alertname": "x"}}},
    }
    when = {"any": ["page", {"all": ["new", "drift"], "within": "1d"}]}
    world = World(rule(triggers, when=when))
    world.event()
    world.poll(0.5)
    (group,) = because(world)["any"]
    assert [node["trigger"] for node in group["all"]] == ["new", "drift"]
    assert group["within_seconds"] == 86400


def test_an_upstream_run_and_a_slot_are_named() -> None:
    triggers = {"rebuilt": {"after": {"rule": "features"}}, "nightly": {"schedule": {"cron": "0 * * * *"}}}
    world = World(rule(triggers, when={"all": ["rebuilt", "nightly"]}))
    world.follow("upstream-7")
    world.wake()
    by_name = {node["trigger"]: node for node in because(world)["all"]}
    assert by_name["rebuilt"]["run"] == "upstream-7"
    assert by_name["nightly"]["slot"].endswith(":00:00Z")


def test_what_made_it_due_and_has_gone_since_is_not_told_as_if_it_were_so() -> None:
    world = World(rule(metric(above=0.2, jitter="0s"), {"overlap": "buffer_one"}))
    world.manual()  # a run is active
    world.poll(0.31)
    world.poll(0.05)
    world.end()
    assert because(world) == {"any": [{"trigger": "drift", "detail": "made the rule due, and is no longer satisfied"}]}


def test_by_hand_nothing_had_to_be_satisfied() -> None:
    world = World(rule(batch(at_least={"events": 2})))
    world.manual()
    assert because(world) == {}
