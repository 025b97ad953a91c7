"""The agenda shows what the engine then does."""

from __future__ import annotations

import json
import tempfile
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from retrainer.config.load import load_texts
from retrainer.engine.schedules import agenda as agendas
from retrainer.engine.schedules.agenda import AgendaEntry, AgendaPage, AgendaQuery, agenda
from retrainer.util.timefmt import epoch, moment
from tests.houses.engine import DrivenEngine
from tests.unit.engine.grammar import BASE, RULE
from tests.unit.engine.kit import DAY, START, data, end, event, observed, start

if TYPE_CHECKING:
    from tests.unit.engine.kit import Make

HOUR = 3600.0
DONE = """
SELECT last_at, rule, decision, reason FROM decisions
UNION SELECT at, rule, 'skip', reason FROM slots WHERE outcome = 'skipped'
"""
GONE = "there is no 02:30 on 2027-03-28: the clock goes on at 03:00"


def ahead(bench: DrivenEngine, seconds: float = DAY, limit: int = 100, **more: Any) -> AgendaPage:
    now = bench.clock.time
    query = AgendaQuery(more.pop("since", now), now + seconds, limit, **more)
    return agenda(bench.store, bench.engine.catalog, query, now)


def said(found: AgendaEntry) -> tuple[str, str, str, str]:
    return moment(found.entry.at), found.rule, found.entry.decision.value, found.entry.reason.value


def every(cron: str, **more: Any) -> dict[str, Any]:
    return {"triggers": {"s": {"schedule": {"cron": cron, **more}}}}


def decided(bench: DrivenEngine, since: float) -> list[tuple[str, str, str, str]]:
    """What the engine has decided since a time, in the words of `said`."""
    sql = f"SELECT first_at, rule, decision, reason FROM decisions WHERE first_at > {since} ORDER BY id"
    return [(moment(at), rule, decision, reason) for at, rule, decision, reason in bench.query(sql)]


def at_(bench: DrivenEngine, text: str) -> None:
    bench.clock.time = epoch(text)


def test_slots_of_all_rules_in_order(make: Make) -> None:
    bench = make(every("30 3 * * *"), every("0 * * * *"))
    bench.tick(1)
    found = ahead(bench, 6 * HOUR).items
    assert [said(each)[0][11:16] for each in found] == sorted(said(each)[0][11:16] for each in found)
    assert [each.rule for each in found].count("rule-1") == 6
    bench.tick(6 * HOUR)
    assert said(found[0]) == decided(bench, START + 1)[0]


@pytest.mark.parametrize(
    ("now", "zone", "cron", "dst", "local", "clock"),
    [
        ("2027-03-27T12:00:00Z", "Europe/Berlin", "30 2 * * *", {}, "28 03:00 +0200",
         f"{GONE}, where the slot is (dst.missing: shift)"),
        ("2027-03-27T12:00:00Z", "Europe/Berlin", "30 2 * * *", {"missing": "skip"}, "29 02:30 +0200",
         f"{GONE}, and that day has no slot for it (dst.missing: skip)"),
        ("2027-10-30T12:00:00Z", "Europe/Berlin", "30 2 * * *", {}, "31 02:30 +0200",
         "the clock shows 02:30 twice that day: only this first one has a slot (dst.repeated: first)"),
        ("2027-10-31T00:45:00Z", "Europe/Berlin", "30 2 * * *", {"repeated": "both"}, "31 02:30 +0100",
         "the clock shows 02:30 for the second time"),
        ("2027-03-27T12:00:00Z", "Asia/Kathmandu", "30 2 * * *", {}, "28 02:30 +0545", ""),
        ("2027-10-02T13:00:00Z", "Australia/Lord_Howe", "15 2 * * *", {}, "03 02:30 +1100",
         "there is no 02:15 on 2027-10-03: the clock goes on at 02:30, where the slot is (dst.missing: shift)"),
        ("2027-04-03T13:00:00Z", "Australia/Lord_Howe", "45 1 * * *", {}, "04 01:45 +1100",
         "the clock shows 01:45 twice that day: only this first one has a slot (dst.repeated: first)"),
        ("2027-03-27T12:00:00Z", "Europe/Berlin", "*/30 2 * * *", {}, "29 02:00 +0200", ""),
    ],
)  # fmt: skip
def test_a_change_of_the_clock_is_told(
    make: Make, now: str, zone: str, cron: str, dst: dict[str, str], local: str, clock: str
) -> None:
    bench = make(every(cron, timezone=zone, dst=dst))
    at_(bench, now)
    bench.edit([{"name": "rule-0", "submit": {"workflow_template": "t"}, **every(cron, timezone=zone, dst=dst)}])
    bench.tick(0)
    first = ahead(bench, 3 * DAY).items[0].entry
    assert first.slot is not None
    assert datetime.fromtimestamp(first.slot, ZoneInfo(zone)).strftime("%d %H:%M %z") == local
    assert first.clock == clock
    assert first.at == bench.engine.next_wake


def frozen(bench: DrivenEngine, rules: list[dict[str, Any]], day: str) -> None:
    """Load rules with the calendar `freeze` on a day."""
    document = {"version": 1, "sources": {"push": {"type": "webhook", "path": "/hooks/push"}}}
    document |= {"calendars": {"freeze": {"dates": [day]}}}
    rules = [{"name": f"rule-{i}", "submit": {"workflow_template": "t"}, **rule} for i, rule in enumerate(rules)]
    configuration, problems = load_texts({"all": json.dumps({**document, "rules": rules})})
    assert not problems
    bench.configuration = configuration
    bench._switch()
    bench.tick(1)


def test_a_freeze_holds_a_slot_until_it_ends(make: Make) -> None:
    bench = make({})
    at_(bench, "2027-06-01T12:00:00Z")
    frozen(bench, [{**every("0 3 * * *"), "limits": {"mute": ["freeze"]}}], "2027-06-02")
    held, fires = ahead(bench, 37 * HOUR).items
    assert said(held) == ("2027-06-02T03:00:00Z", "rule-0", "hold", "muted")
    assert held.entry.until == epoch("2027-06-03T00:00:00Z")
    assert said(fires) == ("2027-06-03T00:00:00Z", "rule-0", "fire", "schedule")
    assert fires.entry.kind == "calendar"
    since = bench.clock.time
    bench.tick(37 * HOUR)
    assert decided(bench, since) == [said(held), said(fires)]


def test_a_slot_in_an_excepted_calendar_is_skipped(make: Make) -> None:
    bench = make({})
    at_(bench, "2027-06-01T12:00:00Z")
    frozen(bench, [every("0 3 * * *", **{"except": ["freeze"]})], "2027-06-02")
    skipped, fires = ahead(bench, 2 * DAY).items
    assert said(skipped) == ("2027-06-02T03:00:00Z", "rule-0", "skip", "calendar")
    assert skipped.entry.detail == "slot 2027-06-02T03:00:00Z of s is in calendar freeze"
    assert said(fires) == ("2027-06-03T03:00:00Z", "rule-0", "fire", "schedule")


def test_three_slots_for_a_pool_of_one_wait_by_priority(make: Make) -> None:
    rules = [{**every("0 3 * * *"), "limits": {"pool": "gpu", "priority": i}} for i in range(3)]
    bench = make(*rules, pools={"gpu": 1})
    bench.tick(1)
    found = ahead(bench).items
    waits = [(each.rule, [b.detail for b in each.blockers]) for each in found]
    assert waits == [
        ("rule-2", []),
        ("rule-1", ["pool gpu: 1 place taken by rule-2"]),
        ("rule-0", ["pool gpu: 1 place taken by rule-2; 1 run in front of it"]),
    ]
    bench.tick(DAY)
    assert [run.rule for run in bench.gateway.claim(10, 30)] == ["rule-2"]
    assert [each.rule for each in ahead(bench, rule="rule-0").items] == ["rule-0"]


def test_a_pool_is_free_again_after_the_usual_time(make: Make) -> None:
    limits = {"pool": "gpu"}
    bench = make({**every("0 3 * * *"), "limits": limits}, {**every("30 3 * * *"), "limits": limits}, pools={"gpu": 1})
    bench.tick(DAY)
    for _ in range(2):
        run = start(bench)[0]
        bench.tick(2 * HOUR)
        end_of(bench, run)
    bench.tick(4 * HOUR)
    first, second = ahead(bench, DAY).items
    assert first.blockers == ()
    (blocker,) = second.blockers
    assert blocker.until == first.entry.at + 2 * HOUR


def end_of(bench: DrivenEngine, run: Any) -> None:
    bench.gateway.observed([observed(run, "Succeeded")])


def test_a_shared_budget_lets_a_run_wait_until_it_renews(make: Make) -> None:
    bench = make(*({**every("0 3 * * *"), "limits": {"budget": "team"}} for _ in range(2)))
    bench.budgets({"team": {"runs": 1, "per": "6h"}})
    bench.tick(1)
    first, second = ahead(bench).items
    assert first.blockers == ()
    (blocker,) = second.blockers
    assert (blocker.kind, blocker.name, blocker.until) == ("budget", "team", first.entry.at + 6 * HOUR)


def test_an_own_budget_holds_until_it_renews(make: Make) -> None:
    bench = make({**every("0 * * * *"), "limits": {"budget": {"runs": 1, "per": "150m"}}})
    bench.tick(1)
    found = ahead(bench, 4 * HOUR).items
    assert [(each.entry.decision, each.entry.reason, each.entry.kind) for each in found][:4] == [
        ("fire", "schedule", "schedule"),
        ("hold", "budget", "schedule"),
        ("hold", "budget", "schedule"),
        ("fire", "schedule", "budget"),
    ]


def test_a_cooldown_a_wait_and_an_age_end_by_themselves(make: Make) -> None:
    bench = make(
        {"triggers": data(), "limits": {"cooldown": {"period": "2h"}}},
        {"triggers": data(batch={"max_wait": "3h"})},
        {"triggers": {"old": {"freshness": {"max_age": "5h", "jitter": "0s"}}}},
    )
    bench.deliver([event(1)])
    end(bench)
    bench.deliver([event(2)])
    found = {each.rule: (each.entry.kind.value, each.entry.at - START) for each in reversed(ahead(bench).items)}
    assert found == {"rule-0": ("cooldown", 2 * HOUR), "rule-1": ("data", 3 * HOUR), "rule-2": ("freshness", 5 * HOUR)}


def test_an_active_run_holds_the_next_slot_for_its_usual_time(make: Make) -> None:
    bench = make(every("0 * * * *"))
    bench.tick(HOUR)
    run = start(bench)[0]
    bench.tick(90 * 60)  # the run takes longer than the time between two slots
    end_of(bench, run)
    bench.tick(2 * HOUR)
    start(bench)
    kinds = [(each.entry.kind.value, each.entry.decision.value) for each in ahead(bench, 4 * HOUR).items]
    assert ("schedule", "hold") in kinds
    assert ("overlap", "fire") in kinds


def test_pages_go_on_where_the_last_one_ended(make: Make) -> None:
    bench = make(*(every("0 * * * *") for _ in range(5)))
    bench.tick(1)
    whole = ahead(bench, limit=1000).items
    paged: list[AgendaEntry] = []
    after = None
    while True:
        page = ahead(bench, limit=7, after=after)
        paged += page.items
        if (after := page.next) is None:
            break
    assert [said(each) for each in paged] == [said(each) for each in whole]
    assert len(whole) == 120


def test_it_says_how_far_it_has_got(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agendas, "MOST_STEPS", 50)
    bench = make(every("* * * * *"))
    bench.tick(1)
    page = ahead(bench, limit=1000)
    assert page.next is None
    assert page.reached == page.items[-1].entry.at + 60


def test_others_rules_are_not_named(make: Make) -> None:
    rules = [{**every("0 3 * * *"), "limits": {"pool": "gpu", "priority": i}} for i in range(2)]
    bench = make(*rules, pools={"gpu": 1})
    bench.tick(1)
    (seen,) = ahead(bench, only={"rule-0"}).items
    assert [b.detail for b in seen.blockers] == ["pool gpu: 1 place taken by a rule of another namespace"]


@settings(max_examples=40, deadline=None, phases=(Phase.generate,), suppress_health_check=list(HealthCheck))
@given(rules=st.lists(RULE, min_size=2, max_size=5), seconds=st.sampled_from([60.0, HOUR, 9 * DAY]))
def test_the_first_entry_is_what_the_engine_then_does(rules: list[dict[str, Any]], seconds: float) -> None:
    named = [{"name": f"r{i}", **rule} for i, rule in enumerate(rules)]
    texts = {str(rule["name"]): json.dumps({"version": 1, "rules": [rule]}) for rule in named}
    configuration, _ = load_texts({"base": json.dumps(BASE), **texts})
    with tempfile.TemporaryDirectory() as folder:
        bench = DrivenEngine(Path(folder) / "store.db", [], START, loaded=configuration)
        bench.tick(1)
        first: dict[str, AgendaEntry] = {}
        for each in ahead(bench, seconds).items:
            first.setdefault(each.rule, each)
        since = bench.clock.time
        for name, each in first.items():
            own = ahead(bench, seconds, rule=name).items[0]
            assert (own.entry.at, own.entry.decision) == (each.entry.at, each.entry.decision)
        if first:
            bench.tick(min(each.entry.at for each in first.values()) - since)
            done = {(moment(at), *words) for at, *words in bench.query(DONE)}
            for each in first.values():
                silent = each.entry.every_key or each.entry.reason == "missing_trigger"
                if each.entry.at == bench.clock.time and not silent:
                    assert said(each) in done
        bench.close()
