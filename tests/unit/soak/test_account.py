"""The soak's account: it holds if everything is well, and each fault breaks the claim about it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.soak.account import Facts, account
from tests.soak.rules import ROADS
from tests.soak.samples import Growth, Sample, StoreSample, complaints, growth
from tests.soak.witness import Seen

if TYPE_CHECKING:
    from collections.abc import Callable

ONE_OUTCOME, ONE_WORKFLOW = "{}: each accepted event has one outcome", "{}: each is in exactly one Workflow"
BEGAN = datetime(2026, 11, 30, tzinfo=UTC)


def workflow(name: str, rule: str, *took: Any, slot: str = "") -> Seen:
    return Seen(name, f"uid-{name}", f"run-{name}", rule, took, slot, over=True)


def run_of(one: Seen) -> dict[str, Any]:
    return {"id": one.run, "rule": one.rule, "phase": "SUCCEEDED", "uid": one.uid, "workflow": one.name, "message": ""}


def facts(**changed: Any) -> Facts:
    """The observations of an hour without a fault."""
    seen = [
        *(workflow(f"{road}-w{n}", f"{road}-{n}", 2 * n, 2 * n + 1) for road in ROADS for n in range(4)),
        workflow("region", "by-region", 0),
        *(workflow(f"s{n}", "minutely", slot=(BEGAN + timedelta(minutes=n)).isoformat()) for n in range(60)),
        workflow("d", "drifted"),
        workflow("al", "alerted"),
        workflow("p", "pushed"),
    ]
    good = Facts(
        minutes=60,
        accepted={road: set(range(8)) for road in ROADS},
        unknown={road: set() for road in ROADS},
        told={road: {n: ["matched"] for n in range(8)} for road in ROADS},
        seen=seen,
        created=[one.name for one in seen],
        runs={one.run: run_of(one) for one in seen},
        backwards=[],
        rises={"drifted": 1, "alerted": 1, "pushed": 1},
        missed=[],
        crossings=1,
        refused=[],
        odd=[],
        records={("records", 0, 5)},
        places={("records", 0, 5), ("records", 0, 6)},
        broken_threads=[],
        odd_ends=[],
        unrecovered=[],
        sick=[],
        growths=[Growth("a", 2, 2700.0, (150.0, 151.0), (20, 20), (60, 58))],
        store=[StoreSample(at, 10**8, 1000, 3) for at in range(0, 3600, 10)],
        retention=600.0,
    )
    return replace(good, **changed)


def broken(seen: Facts) -> list[str]:
    return [claim.name for claim in account(seen) if claim.judged and not claim.holds]


def test_all_holds_where_all_went_well() -> None:
    assert broken(facts()) == []


def told_without(number: int) -> Callable[[Facts], Facts]:
    def change(good: Facts) -> Facts:
        told = {road: dict(numbers) for road, numbers in good.told.items()}
        del told["push"][number]
        return replace(good, told=told)

    return change


def told_as(*outcomes: str) -> Callable[[Facts], Facts]:
    return lambda good: replace(good, told={**good.told, "pond": {**good.told["pond"], 3: list(outcomes)}})


def with_workflow(one: Seen) -> Callable[[Facts], Facts]:
    return lambda good: replace(
        good,
        seen=[*good.seen, one],
        created=[*good.created, one.name],
        runs={**good.runs, one.run: run_of(one)},
    )


def without(rule: str) -> Callable[[Facts], Facts]:
    def change(good: Facts) -> Facts:
        kept = [one for one in good.seen if one.rule != rule]
        return replace(good, seen=kept, created=[one.name for one in kept], runs={one.run: run_of(one) for one in kept})

    return change


def phase(of: str, said: str) -> Callable[[Facts], Facts]:
    return lambda good: replace(
        good,
        runs={name: {**run, "phase": said if run["rule"] == of else run["phase"]} for name, run in good.runs.items()},
    )


def grown(**changed: Any) -> Callable[[Facts], Facts]:
    return lambda good: replace(good, growths=[replace(good.growths[0], **changed)])


JUDGES = "senders and judges worked to the end"
ANSWERED = "every sender was answered, and as documented"
ONCE = "no run is doubled"
ENDED = "every run has ended, none goes backwards"
LEVELS = "metrics and alerts: each rise started exactly one Workflow"
SLOTS = "the schedule: each minute has exactly one Workflow"
ALIVE = "daemons end only when they are made to, and come back"
GROWS = "descriptors and threads do not grow"
MEMORY = "memory grows by at most 2% over the last three quarters"
STORE = "the store keeps no more events than its retention"


@pytest.mark.parametrize(
    ("change", "claims"),
    [
        pytest.param(
            lambda f: replace(f, broken_threads=["witness: KeyError"]), [JUDGES], id="a judge ends"
        ),
        pytest.param(lambda f: replace(f, refused=["7: 503"]), [ANSWERED], id="a sender is never answered"),
        pytest.param(lambda f: replace(f, odd=["7: 500"]), [ANSWERED], id="a sender is answered 500"),
        pytest.param(told_without(4), [ONE_OUTCOME.format("push")], id="an event is lost"),
        pytest.param(told_as("matched", "matched"), [ONE_OUTCOME.format("pond")], id="an event is doubled"),
        pytest.param(told_as("filtered"), [ONE_OUTCOME.format("pond")], id="an event is not counted"),
        pytest.param(without("lake-2"), [ONE_WORKFLOW.format("lake")], id="a window is lost"),
        pytest.param(
            with_workflow(workflow("more", "lake-1", 2)), [ONE_WORKFLOW.format("lake")], id="an event in two runs"
        ),
        pytest.param(without("by-region"), [ONE_WORKFLOW.format("records")], id="a key's window is lost"),
        pytest.param(
            with_workflow(workflow("foreign", "push-1", 99)),
            [ONE_WORKFLOW.format("push")],
            id="a run takes what nobody sent",
        ),
        pytest.param(with_workflow(workflow("p2", "pushed")), [LEVELS], id="a rise starts two runs"),
        pytest.param(without("drifted"), [LEVELS], id="a rise starts no run"),
        pytest.param(with_workflow(workflow("a2", "alerted")), [LEVELS], id="an alert starts two runs"),
        pytest.param(
            with_workflow(workflow("m", "minutely", slot=BEGAN.isoformat())), [SLOTS], id="a minute has two Workflows"
        ),
        pytest.param(
            lambda f: replace(f, created=[*f.created, f.created[0]]), [ONCE], id="a name is created twice"
        ),
        pytest.param(
            lambda f: replace(f, seen=[*f.seen, replace(f.seen[-1], uid="other")]), [LEVELS, ONCE], id="a run twice"
        ),
        pytest.param(lambda f: replace(f, runs={}), [ONCE], id="the API knows of no run"),
        pytest.param(phase("pushed", "RUNNING"), [ENDED], id="a run never ends"),
        pytest.param(phase("pushed", "UNKNOWN"), [ENDED], id="a run's end is unknown"),
        pytest.param(lambda f: replace(f, backwards=["x"]), [ENDED], id="a run goes backwards"),
        pytest.param(
            lambda f: replace(f, places=set()), ["poison: each bad record has an outcome"], id="a bad record vanishes"
        ),
        pytest.param(lambda f: replace(f, odd_ends=["a ended with 1"]), [ALIVE], id="a daemon ends by itself"),
        pytest.param(lambda f: replace(f, sick=["a at 7 s"]), [ALIVE], id="a daemon says that it is dead"),
        pytest.param(grown(resident=(100.0, 103.0)), [MEMORY], id="memory grows"),
        pytest.param(lambda f: replace(f, growths=[]), [MEMORY], id="nobody lived long enough to say"),
        pytest.param(grown(threads=(20, 21)), [GROWS], id="a thread is left"),
        pytest.param(grown(descriptors=(60, 61)), [GROWS], id="a descriptor is left"),
        pytest.param(
            lambda f: replace(f, store=[replace(one, events=1000 + int(one.at)) for one in f.store]), [STORE], id="more"
        ),
        pytest.param(
            lambda f: replace(f, store=[replace(one, old=30) for one in f.store]), [STORE], id="old events stay"
        ),
    ],
)  # fmt: skip
def test_what_goes_wrong_breaks_the_claim_about_it(change: Callable[[Facts], Facts], claims: list[str]) -> None:
    assert broken(change(facts())) == claims


def test_an_alert_that_was_told_of_anew_may_start_another_run() -> None:
    assert broken(replace(with_workflow(workflow("a2", "alerted"))(facts()), crossings=2)) == []


def test_what_a_sender_cannot_tell_of_may_be_there_or_not() -> None:
    there = with_workflow(workflow("more", "push-1", 99))(facts())
    told = {**there.told, "push": {**there.told["push"], 99: ["matched"]}}
    assert broken(replace(there, told=told, unknown={**there.unknown, "push": {99}})) == []
    assert broken(facts(unknown={**facts().unknown, "push": {99}})) == []


def test_a_short_run_claims_no_more_than_it_can_show() -> None:
    short = facts(minutes=3, growths=[Growth("a", 1, 130.0, (100.0, 103.0), (20, 20), (60, 60))])
    names = [claim.name for claim in account(short)]
    assert not any("at most 2%" in name for name in names)
    assert any("in so short a run" in name for name in names)
    assert broken(short) == []


def sample(at: float, resident: float, threads: int = 20) -> Sample:
    return Sample(at, "a", 1, resident, threads, 60, 40)


def test_growth_is_that_between_the_ends_of_a_stretch() -> None:
    before = [sample(at, 10.0) for at in range(0, 100, 10)]
    after = [sample(at, 100.0 + at / 100, 20 + at % 30) for at in range(100, 400, 10)]
    found = growth([*before, *after], 100.0, 50.0)
    assert found is not None
    assert (found.seconds, found.resident) == (290.0, (101.25, 103.65))
    assert found.threads == (20, 20)


def test_growth_of_what_was_hardly_seen_is_none() -> None:
    assert growth([sample(at, 10.0) for at in range(5)], 0.0, 2.0) is None


SCRAPE = """# HELP retrainer_events_received_total accepted
retrainer_events_received_total{source="push"} 9.0
retrainer_events_matched_total{source="push"} 4.0
retrainer_events_filtered_total{source="push"} 2.0
retrainer_events_duplicate_total{source="push"} 1.0
retrainer_events_dead_lettered_total{source="push"} 1.0
retrainer_events_ignored_total{source="push"} 1.0
retrainer_source_halted_partitions{source="records"} 0.0
retrainer_thread_restarts_total{thread="engine"} 0.0
retrainer_rule_paused{by="quarantine",rule="push-1"} 0.0
retrainer_rule_paused{by="quarantine",rule="bad-7"} 1.0
"""


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        pytest.param("", "", [], id="all is well"),
        pytest.param(
            'ignored_total{source="push"} 1',
            'ignored_total{source="push"} 0',
            ['retrainer_events_received_total{source="push"} 9, and its outcomes are 8'],
            id="an event without an outcome",
        ),
        pytest.param(
            '"records"} 0',
            '"records"} 2',
            ['retrainer_source_halted_partitions{source="records"} 2'],
            id="a partition that is halted",
        ),
        pytest.param(
            '"engine"} 0', '"engine"} 1', ['retrainer_thread_restarts_total{thread="engine"} 1'], id="a thread died"
        ),
        pytest.param(
            'rule="push-1"} 0',
            'rule="push-1"} 1',
            ['retrainer_rule_paused{by="quarantine",rule="push-1"}'],
            id="a rule is quarantined that no poison was meant for",
        ),
    ],
)
def test_what_a_scrape_must_never_say(was: str, now: str, said: list[str]) -> None:
    assert complaints(SCRAPE.replace(was, now)) == said
