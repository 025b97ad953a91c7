"""Backfills: which of the requested slots run, that each runs once in any case, and what is reported."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from retrainer.config.models import Rules
from retrainer.config.settings import Store
from retrainer.engine.commands import operator_commands
from retrainer.engine.retention.prune import Pruner
from retrainer.engine.schedules import backfills
from retrainer.engine.schedules.backfills import BackfillOrder
from tests.houses.engine import Crash
from tests.unit.engine.kit import ANY, DAY, START, SUBMIT, Make, data, end, event, observed, start, state

if TYPE_CHECKING:
    from tests.houses.engine import DrivenEngine

HOUR = 3600.0
NIGHTLY: dict[str, Any] = {"nightly": {"schedule": {"cron": "0 2 * * *"}}}
HOURLY: dict[str, Any] = {"hourly": {"schedule": {"cron": "0 * * * *", "recover_missed": "none"}}}
DAYS = BackfillOrder("rule-0", "", "2027-01-10", "2027-01-13")
PARAMETERS = {"parameters": {"day": "${trigger.scheduled_at}", "why": "${trigger.reason}", "depth": 3}}


def nights(*days: int) -> list[float]:
    return [datetime(2027, 1, day, 2, tzinfo=UTC).timestamp() for day in days]


def ask(bench: DrivenEngine, order: BackfillOrder = DAYS, once: str | None = None) -> dict[str, Any]:
    answer: dict[str, Any] = bench.act(lambda tx: backfills.ask(tx, order, once))
    return answer


def preview(bench: DrivenEngine, order: BackfillOrder) -> dict[str, Any]:
    answer: dict[str, Any] = bench.act(lambda tx: backfills.preview(tx, order))
    return answer


def fates(answer: dict[str, Any]) -> list[tuple[bool, str]]:
    return [(slot["runs"], slot["why"]) for slot in answer["slots"]]


def all_started(bench: DrivenEngine) -> list[float]:
    """Submit and end runs until there are no more; return their slots in order."""
    slots = []
    while runs := end(bench):
        slots += [run.scheduled_at for run in runs if run.scheduled_at is not None]
    return slots


def recorded(bench: DrivenEngine, period: float = HOUR) -> Counter[float]:
    """The number of records that cover each slot."""
    found: Counter[float] = Counter()
    for slot, until, count in bench.query("SELECT slot, until, count FROM slots"):
        moments = [slot + n * period for n in range(int((until - slot) // period) + 1)]
        assert len(moments) == count
        found.update(moments)
    return found


def test_each_slot_runs_once_in_turn_with_its_own_moment(make: Make) -> None:
    bench = make({"triggers": NIGHTLY, "submit": {**SUBMIT, **PARAMETERS}})
    answer = ask(bench, BackfillOrder("rule-0", "", "2027-01-10", "2027-01-13", parameters={"depth": "9"}, by="anna"))
    assert fates(answer) == [(True, "no record")] * 3
    runs = []
    while one := end(bench):
        assert len(one) == 1
        runs += one
    assert [dict(run.parameters) for run in runs] == [
        {"day": f"2027-01-{day}T02:00:00Z", "why": "backfill", "depth": "9"} for day in (10, 11, 12)
    ]
    assert {(run.cause["request"], run.cause["by"]) for run in runs} == {(answer["request"], "anna")}
    rows = bench.query("SELECT slot, outcome, reason, run FROM slots ORDER BY slot")
    expected = zip(nights(10, 11, 12), runs, strict=True)
    assert [tuple(row) for row in rows] == [(slot, "fired", "backfill", run.id) for slot, run in expected]


def test_a_preview_changes_nothing(make: Make) -> None:
    bench = make({"triggers": NIGHTLY})
    before = bench.query("SELECT state FROM states")
    emitted = preview(bench, DAYS)
    assert (emitted["count"], emitted["request"], emitted["last_start"]) == (3, None, None)
    assert emitted["note"] == "no run has succeeded yet, so the duration is unknown"
    assert (bench.query("SELECT state FROM states"), start(bench)) == (before, [])


def test_what_ran_runs_again_only_if_that_is_asked_for(make: Make) -> None:
    bench = make({"triggers": NIGHTLY})
    ask(bench)
    (live,) = start(bench)
    assert fates(preview(bench, DAYS)) == [
        (False, "its run is active: SUBMITTED"),
        (False, "requested already, waiting"),
        (False, "requested already, waiting"),
    ]
    rerun = BackfillOrder("rule-0", "", "2027-01-10", "2027-01-13", rerun=True)
    assert preview(bench, rerun)["count"] == 0
    bench.gateway.observed([observed(live, "Failed")])
    assert all_started(bench) == nights(11, 12)
    assert fates(ask(bench)) == [(False, "ran: FAILED"), (False, "ran: SUCCEEDED"), (False, "ran: SUCCEEDED")]
    assert start(bench) == []
    assert fates(ask(bench, rerun))[0] == (True, "ran: FAILED; runs again")
    assert all_started(bench) == nights(10, 11, 12)
    assert set(recorded(bench, DAY).values()) == {1}


def test_a_retry_is_the_same_run(make: Make) -> None:
    bench = make({"triggers": NIGHTLY, "submit": {**SUBMIT, "retry": {"limit": 1, "backoff": {"duration": "1m"}}}})
    night = BackfillOrder("rule-0", "", "2027-01-10", "2027-01-11", rerun=True)
    ask(bench, night)
    end(bench, "Failed")
    assert fates(preview(bench, night)) == [(False, "its run is active: PENDING")]
    bench.tick(61)
    (retry,) = end(bench)
    emitted = preview(bench, night)
    assert (fates(emitted), emitted["slots"][0]["run"]) == ([(True, "ran: SUCCEEDED; runs again")], retry.id)


def test_slots_that_were_missed_or_skipped_run_and_have_one_record_each(make: Make) -> None:
    bench = make({"triggers": HOURLY, "limits": {"overlap": "skip"}})
    bench.tick(HOUR)
    start(bench)
    bench.tick(HOUR)  # skipped, because the first one is active
    bench.clock.time += 5.5 * HOUR  # the daemon is down, and five slots are missed
    bench.restart()
    bench.gateway.observed([observed(run, "Succeeded") for run in bench.gateway.live()])
    period = BackfillOrder("rule-0", "", "2027-01-15T09:00", "2027-01-15T16:00")
    emitted = preview(bench, period)
    assert fates(emitted) == [
        (False, "ran: SUCCEEDED"),
        (True, "skipped: overlap"),
        *[(True, "missed")] * 5,
    ]
    middle = BackfillOrder("rule-0", "", "2027-01-15T12:00", "2027-01-15T14:00")
    ask(bench, middle)
    assert len(all_started(bench)) == 2
    assert set(recorded(bench).values()) == {1}
    assert [fate[1] for fate in fates(preview(bench, period))][2:] == [
        "missed",
        "ran: SUCCEEDED",
        "ran: SUCCEEDED",
        "missed",
        "missed",
    ]
    ask(bench, period)
    assert len(all_started(bench)) == 4
    assert recorded(bench) == Counter(START + n * HOUR for n in range(1, 8))


def test_what_the_schedule_itself_will_run_is_left_to_it(make: Make) -> None:
    jittery = {"hourly": {"schedule": {"cron": "0 * * * *", "jitter": "30m"}}}
    bench = make({"triggers": jittery, "limits": {"cooldown": {"period": "6h"}}})
    bench.act(lambda tx: operator_commands.trigger(tx, "rule-0", "", {}, None))
    end(bench)
    bench.tick(HOUR + 1800)
    bench.clock.time = START + 2 * HOUR + 1
    emitted = preview(bench, BackfillOrder("rule-0", "", "2027-01-15T09:00", "2027-01-15T11:00"))
    assert fates(emitted) == [(False, "due on its schedule, waiting for its run"), (False, "not due yet")]


def test_a_calendar_keeps_its_slots_out(make: Make) -> None:
    bench = make({"triggers": NIGHTLY})
    bench.configuration.calendars = _calendars({"holiday": {"dates": ["2027-01-11"]}})
    excepting = {"nightly": {"schedule": {"cron": "0 2 * * *", "except": ["holiday"]}}}
    bench.configuration.rules = _rules({"triggers": excepting})
    bench.restart()
    assert fates(ask(bench)) == [(True, "no record"), (False, "excluded by calendar holiday"), (True, "no record")]


def test_days_are_those_of_the_schedules_zone_also_when_clocks_change(make: Make) -> None:
    berlin = {"nightly": {"schedule": {"cron": "30 2 * * *", "timezone": "Europe/Berlin"}}}
    bench = make({"triggers": berlin})
    emitted = preview(bench, BackfillOrder("rule-0", "", "2026-03-28", "2026-03-31"))
    moments = [datetime.fromtimestamp(slot["slot"], UTC).isoformat() for slot in emitted["slots"]]
    assert moments == ["2026-03-28T01:30:00+00:00", "2026-03-29T01:00:00+00:00", "2026-03-30T00:30:00+00:00"]


BAD = {"p": "${window.no}"}
REFUSED = [
    pytest.param({"triggers": ANY}, {}, "it has no slots: use `retrainer trigger rule-0` for a run", id="no schedule"),
    pytest.param({}, {"trigger": "weekly"}, "rule-0 has no schedule 'weekly'; it has nightly", id="no such schedule"),
    pytest.param({}, {"since": "yesterday"}, "'yesterday' is not a time: write a date", id="no moment"),
    pytest.param({}, {"until": "2027-01-10"}, "the period from 2027-01-10 to 2027-01-10 is empty", id="no time"),
    pytest.param({}, {"since": "2020-01-01"}, "more than 1000 slots", id="too many slots"),
    pytest.param({"mode": "shadow"}, {}, "set mode: active first", id="shadow"),
    pytest.param({}, {"parameters": {"deep": "3"}}, "rule-0 has no parameter 'deep'", id="no such parameter"),
    pytest.param({}, {"key": "de"}, "rule-0 has no key", id="no keys"),
    pytest.param({"submit": {**SUBMIT, "parameters": BAD}}, {}, "parameters.p: `window.no`", id="no such field"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "order", "words"), REFUSED)
def test_what_cannot_be_asked_for_is_refused_with_the_way_out(
    make: Make, rule: dict[str, Any], order: dict[str, Any], words: str
) -> None:
    bench = make({"triggers": NIGHTLY, **rule})
    asked = BackfillOrder(**{"rule": "rule-0", "key": "", "since": "2027-01-10", "until": "2027-01-13", **order})
    for act in (ask, preview):
        with pytest.raises(ValueError, match=words.replace("(", r"\(")):
            act(bench, asked)
    assert start(bench) == []


def test_no_more_waits_than_there_is_room_for(make: Make) -> None:
    bench = make({"triggers": HOURLY, "mode": "paused"})
    ask(bench, BackfillOrder("rule-0", "", "2026-12-01", "2027-01-10"))
    with pytest.raises(ValueError, match="960 requests wait already, and at most 1000 may"):
        ask(bench, BackfillOrder("rule-0", "", "2027-01-10", "2027-01-14"))
    assert len(state(bench).asked) == 960


@pytest.mark.parametrize("crash", ["", "before", "after"])
def test_asked_twice_with_the_same_key_is_asked_once(make: Make, crash: str) -> None:
    bench = make({"triggers": NIGHTLY})
    bench.crash_at = crash
    answers = []
    for _ in range(3):
        try:
            answers.append(ask(bench, once="k1"))
        except Crash:
            bench.restart()
    assert all(answer == answers[0] for answer in answers)
    assert all_started(bench) == nights(10, 11, 12)
    with pytest.raises(ValueError, match="was used for another backfill"):
        ask(bench, BackfillOrder("rule-0", "", "2027-01-09", "2027-01-13"), once="k1")


@pytest.mark.parametrize("crash", ["before", "after"])
@pytest.mark.parametrize("at", range(8))
def test_a_daemon_that_is_killed_goes_on_where_it_was(make: Make, crash: str, at: int) -> None:
    """The daemon dies in each transaction in turn. The client repeats its request with the same idempotency key."""
    bench = make({"triggers": NIGHTLY})
    turn = 0

    def survive(do: Any) -> Any:
        nonlocal turn
        turn += 1
        bench.crash_at = crash if turn == at + 1 else ""
        try:
            return do()
        except Crash:
            bench.restart()
            return do()

    survive(lambda: ask(bench, once="k1"))
    for _ in range(8):
        survive(lambda: start(bench))
        bench.clock.time += 31  # claims of a dead process expire
        live = bench.gateway.live()
        survive(lambda live=live: bench.gateway.observed([observed(run, "Succeeded") for run in live]))
    rows = bench.query("SELECT scheduled_at, phase FROM runs ORDER BY id")
    assert [tuple(row) for row in rows] == [(slot, "SUCCEEDED") for slot in nights(10, 11, 12)]
    assert (state(bench).asked, state(bench).active) == ((), 0)
    assert set(recorded(bench, DAY).values()) == {1}


def test_requests_by_hand_outlive_a_restart_each_with_its_parameters(make: Make) -> None:
    bench = make({"triggers": NIGHTLY, "submit": {**SUBMIT, "parameters": {"depth": 3}}})
    answers = [
        bench.act(lambda tx, n=n: operator_commands.trigger(tx, "rule-0", "", {"depth": str(n)}, f"k{n}", "anna"))
        for n in (1, 2, 3)
    ]
    assert [(a["decision"], a["reason"]) for a in answers] == [
        ("fire", "manual"),
        ("hold", "overlap"),
        ("hold", "overlap"),
    ]
    assert bench.act(lambda tx: operator_commands.trigger(tx, "rule-0", "", {"depth": "2"}, "k2")) == answers[1]
    bench.restart()
    depths = []
    while runs := end(bench):
        depths += [(run.parameters["depth"], run.cause["request"]) for run in runs]
    assert depths == [(str(n + 1), answer["request"]) for n, answer in enumerate(answers)]


def test_what_has_not_started_is_withdrawn_and_may_be_asked_for_anew(make: Make) -> None:
    limits = {"overlap": "allow_all", "max_active": 2, "pool": "gpu"}
    bench = make({"triggers": NIGHTLY, "limits": limits}, pools={"gpu": 1})
    request = ask(bench)["request"]
    (live,) = start(bench)
    emitted = bench.act(lambda tx: backfills.withdraw(tx, "rule-0", ""))
    assert (emitted["dropped"], emitted["cancelled"]) == (1, 1)
    progress = bench.store.read(lambda conn: backfills.progress(conn, "rule-0", "", request))
    assert [slot["state"] for slot in progress["slots"]] == ["running", "cancelled", "dropped"]
    bench.gateway.observed([observed(live, "Succeeded")])
    assert start(bench) == []
    assert fates(ask(bench)) == [
        (False, "ran: SUCCEEDED"),
        (True, "its run never started: CANCELLED"),
        (True, "no record"),
    ]
    assert all_started(bench) == nights(11, 12)
    assert set(recorded(bench, DAY).values()) == {1}


def test_progress_says_how_each_slot_stands(make: Make) -> None:
    bench = make({"triggers": NIGHTLY, "submit": {**SUBMIT, "retry": {"limit": 1, "backoff": {"duration": "1s"}}}})
    ask(bench, BackfillOrder("rule-0", "", "2027-01-10", "2027-01-13", by="anna"))
    end(bench, "Failed")
    look: Any = lambda: bench.store.read(lambda conn: backfills.progress(conn, "rule-0", ""))  # noqa: E731
    assert (look()["running"], look()["waiting"], look()["ended"]) == (1, 2, False), "its retry waits"
    bench.tick(2)
    end(bench, "Failed")
    assert (look()["failed"], look()["running"], look()["waiting"]) == (1, 1, 1)
    all_started(bench)
    emitted = look()
    assert (emitted["total"], emitted["succeeded"], emitted["failed"], emitted["ended"], emitted["by"]) == (
        3,
        2,
        1,
        True,
        "anna",
    )
    with pytest.raises(LookupError, match="there is no backfill of rule-0"):
        bench.store.read(lambda conn: backfills.progress(conn, "rule-0", "de"))


def test_a_rule_with_keys_is_backfilled_for_one_of_them(make: Make) -> None:
    later = data(at_least={"events": 99})
    bench = make({"triggers": {**HOURLY, **later}, "for_each": {"by": {"d": "event.data.who"}}})
    bench.deliver([event(1, who="de"), event(2, who="fr")])
    with pytest.raises(ValueError, match="name one"):
        ask(bench, BackfillOrder("rule-0", "", "2027-01-15T06:00", "2027-01-15T08:00"))
    with pytest.raises(LookupError, match="no key 'it'"):
        ask(bench, BackfillOrder("rule-0", "it", "2027-01-15T06:00", "2027-01-15T08:00"))
    bench.clock.time += 3.5 * HOUR
    bench.restart()  # three slots are missed, for all keys
    answer = ask(bench, BackfillOrder("rule-0", "de", "2027-01-15T07:00", "2027-01-15T10:00"))
    assert fates(answer) == [(True, "no record"), (True, "no record"), (True, "missed")]
    assert len(all_started(bench)) == 3
    assert {row[0] for row in bench.query("SELECT key FROM runs")} == {"de"}
    emitted = preview(bench, BackfillOrder("rule-0", "fr", "2027-01-15T09:00", "2027-01-15T10:00"))
    assert fates(emitted) == [(True, "missed")], "what ran for one key is not done for another"


def test_a_backfill_leaves_pending_data_and_what_it_counted_alone(make: Make) -> None:
    counted = data(at_least={"events": 2}, distinct_by="event.data.id")
    bench = make({"triggers": {**NIGHTLY, **counted}})
    bench.deliver([event(1, id="a")])
    ask(bench)
    assert all_started(bench) == nights(10, 11, 12)
    bench.deliver([event(2, id="a")])
    assert start(bench) == [], "the same thing still counts once"
    bench.deliver([event(3, id="b")])
    (run,) = start(bench)
    assert run.window["events"] == 2


def test_nobody_can_tell_of_slots_whose_records_are_removed(make: Make) -> None:
    bench = make({"triggers": NIGHTLY})
    bench.tick(3 * DAY)
    all_started(bench)
    bench.clock.time += 100 * DAY
    pruner = Pruner(Store.model_validate({"path": "x", "ledger_max_age": "90d"}), lambda: 0.0)
    while bench.act(lambda tx: pruner.prune(tx, 0)):
        pass
    emitted = preview(bench, BackfillOrder("rule-0", "", "2027-01-14", "2027-01-17"))
    assert fates(emitted) == [
        (True, "no record"),  # from before the rule
        (True, "no record"),  # like this one, in the morning of that day
        (False, "its record was pruned, so it is unknown whether it ran"),
    ]


def test_what_was_asked_for_is_forgotten_in_time(make: Make) -> None:
    bench = make({"triggers": NIGHTLY})
    ask(bench, once="k1")
    bench.act(lambda tx: operator_commands.trigger(tx, "rule-0", "", {}, "k2"))
    all_started(bench)
    bench.clock.time += 91 * DAY
    pruner = Pruner(Store.model_validate({"path": "x", "ledger_max_age": "90d"}), lambda: 0.0)
    bench.act(lambda tx: pruner.prune(tx, 0))
    assert bench.query("SELECT name FROM requests") == []


def test_the_outlook_goes_by_what_runs_took_and_what_limits_leave(make: Make) -> None:
    limits = {"budget": {"runs": 2, "per": "24h", "reserve": 1.5}}
    bench = make({"triggers": NIGHTLY, "limits": limits})
    ask(bench, BackfillOrder("rule-0", "", "2027-01-09", "2027-01-10"))
    (run,) = start(bench)
    bench.clock.time += HOUR
    bench.gateway.observed([observed(run, "Succeeded", started_at=START)])
    emitted = preview(bench, DAYS)
    assert (emitted["run_seconds"], emitted["gpu_hours"]) == (HOUR, 4.5)
    assert emitted["last_start"] == START + HOUR + DAY, "one today, the next two once the budget is there again"
    assert emitted["note"] == "if no other run starts in between"


def test_a_pause_holds_a_backfill_and_the_outlook_says_so(make: Make) -> None:
    bench = make({"triggers": NIGHTLY})
    bench.act(lambda tx: operator_commands.pause(tx, "rule-0", ""))
    answer = ask(bench)
    assert (answer["held"]["reason"], answer["last_start"]) == ("paused", None)
    assert start(bench) == []
    bench.act(lambda tx: operator_commands.resume(tx, "rule-0"))
    assert all_started(bench) == nights(10, 11, 12)


def test_runs_by_hand_that_have_not_started_are_withdrawn_and_others_go_on(make: Make) -> None:
    limits = {"overlap": "allow_all", "max_active": 2, "pool": "gpu"}
    bench = make({"triggers": NIGHTLY, "limits": limits}, pools={"gpu": 1})
    emitted = [bench.act(lambda tx: operator_commands.trigger(tx, "rule-0", "", {}, None)) for _ in range(3)]
    assert [one["decision"] for one in emitted] == ["fire", "fire", "hold"]
    (live,) = start(bench)
    emitted = bench.act(lambda tx: backfills.withdraw(tx, "rule-0", "", manual=True))
    assert (emitted["dropped"], emitted["cancelled"]) == (1, 1)
    bench.gateway.observed([observed(live, "Succeeded")])
    assert start(bench) == []


def test_the_journal_has_all_that_it_takes_to_ask_again(make: Make) -> None:
    bench = make({"triggers": NIGHTLY, "submit": {**SUBMIT, **PARAMETERS}})
    order = BackfillOrder("rule-0", "", "2027-01-10", "2027-01-12", parameters={"depth": "9"}, by="anna")
    request = ask(bench, order)["request"]
    bench.act(lambda tx: backfills.withdraw(tx, "rule-0", ""))
    rows = bench.query("SELECT kind, payload FROM journal WHERE kind NOT IN ('Wake', 'Ended') ORDER BY seq")
    assert [(row[0], json.loads(row[1])) for row in rows] == [
        (
            "Backfill",
            {
                "slots": [["nightly", slot] for slot in nights(10, 11)],
                "parameters": {"depth": "9"},
                "request": request,
                "by": "anna",
            },
        ),
        ("Withdrawn", {"manual": False}),
    ]


def _calendars(calendars: dict[str, Any]) -> Any:
    return Rules.model_validate({"version": 1, "calendars": calendars}).calendars


def _rules(rule: dict[str, Any]) -> Any:
    full = {"name": "rule-0", "submit": SUBMIT, **rule}
    return Rules.model_validate({"version": 1, "rules": [full]}).rules
