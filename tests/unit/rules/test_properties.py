"""Invariants over any sequence of inputs and ends of runs, checked after every step by an independent account."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from retrainer.rules.cooldown import rest_for
from retrainer.rules.decide import step
from retrainer.rules.outcome import Ended, Input, Kind, Reason, Sample, Unrendered, Wake
from retrainer.rules.state import decode, encode
from retrainer.rules.threshold_state import ThresholdState
from retrainer.rules.triggers import level
from retrainer.rules.triggers.level import Threshold
from retrainer.runs.run import RunPhase
from tests.unit.rules.world import START, World, batch, metric, rule

if TYPE_CHECKING:
    from retrainer.rules.compile import CompiledRule
    from retrainer.rules.outcome import Decision, Step
    from retrainer.rules.state import ManualRequest
    from retrainer.rules.window import Window

HOUR, MINUTE = 3600.0, 60.0
REPEAT = 5 * HOUR
TRIGGERS: dict[str, Any] = {
    "nightly": {"schedule": {"cron": "0 * * * *"}},
    **batch(at_least={"events": 2}, max_wait="3h"),
    **metric(clear=0.1, repeat_interval="5h", **{"for": "20m"}),
    "page": {"alert": {"source": "alerts", "match": {"alertname": "x"}, "repeat_interval": "2h"}},
    "stale": {"freshness": {"max_age": "9h"}},
    "rebuilt": {"after": {"rule": "features"}},
}
ALL_SLOTS = {**TRIGGERS, "nightly": {"schedule": {"cron": "0 * * * *", "recover_missed": "all"}}}
NESTED = {
    "any": [
        "stale",
        {"all": ["nightly", "drift"], "within": "2h"},
        {"at_least": {"n": 2, "of": ["new", "page", "rebuilt"]}},
    ]
}
NO_SLOTS = {name: of for name, of in TRIGGERS.items() if name != "nightly"}
COOL = {"cooldown": {"period": "2h", "from": "completed"}}
RULES: dict[str, CompiledRule] = {
    "buffer_one": rule(TRIGGERS),
    "no schedule": rule(NO_SLOTS),
    "skip": rule(TRIGGERS, {"overlap": "skip"}),
    "cancel_other": rule(TRIGGERS, {"overlap": "cancel_other"}),
    "allow_all": rule(TRIGGERS, {"overlap": "allow_all", "max_active": 3}),
    "cooldown, stretched": rule(NO_SLOTS, COOL, feedback={"backoff": {"factor": 3, "max": "1d"}}),
    "cooldown from fired": rule(TRIGGERS, {"cooldown": {"period": "3h", "from": "fired"}}),
    "cooldown from succeeded": rule(NO_SLOTS, {"cooldown": {"period": "3h", "from": "succeeded"}}),
    "deadline": rule(NO_SLOTS, {**COOL, "deadline": "40m"}),
    "retries": rule(NO_SLOTS, submit={"retry": {"limit": 1}}),
    "consume fired": rule(TRIGGERS, submit={"inputs_on_failure": "keep"}),
    "when": rule(TRIGGERS, when=NESTED),
    "when, all slots, cooldown": rule(ALL_SLOTS, COOL, when=NESTED),
    "unless": rule(NO_SLOTS, unless=["page"]),
    "breaker": rule(TRIGGERS, {"pause_after_failures": 2}),
    "shadow": rule(NO_SLOTS, COOL, mode="shadow"),
}
ENDS = ("SUCCEEDED", "FAILED", "CANCELLED")


def _name(asked: ManualRequest) -> str:
    return f"{asked.request} {asked.scheduled_at:.0f}" if asked.scheduled_at is not None else asked.request


def seqs(window: Window) -> list[int]:
    return [seq for lo, hi in window.ranges for seq in range(lo, hi + 1)]


class Checked(World):
    """A world that checks the guarantees of the rule language after every step."""

    def __init__(self, compiled: CompiledRule) -> None:
        self.spent: list[int] = []
        self.rests_from: dict[str, float] = {}
        self.answered_high = False
        """The metric was answered by a run and has not cleared since."""
        self.answer_ended: float | None = None
        self.fires: list[tuple[float, str]] = []
        self.asked: set[str] = set()
        """Names of all manual requests."""
        self.settled: list[str] = []
        """The requests that were started, skipped or withdrawn."""
        super().__init__(compiled)

    def give(self, given: Input) -> list[str]:
        self.state, done = step(self.rule, self.state, given, self.now)
        if isinstance(given, Ended | Unrendered):
            self._over(given, done)
        for decision in done.decisions:
            if decision.kind is Kind.FIRE:
                self._fired(decision)
            if decision.kind is not Kind.HOLD and decision.asked is not None:
                self.settled.append(_name(decision.asked))
        told = self._keep(done)
        if not self._high():
            self.answered_high = False
        self._check(given, done)
        return told

    def _over(self, given: Ended | Unrendered, done: Step) -> None:
        if any(d.reason is Reason.RETRY for d in done.decisions):
            return
        triggers = given.triggers if isinstance(given, Ended) else given.new_run.triggers
        if "drift" in triggers:
            self.answer_ended = self.now
        if isinstance(given, Unrendered):
            return
        self.rests_from["completed"] = self.now
        if given.phase is RunPhase.SUCCEEDED:
            self.rests_from["succeeded"] = self.now
        if given.phase is RunPhase.SUCCEEDED or self.rule.rule.submit.inputs_on_failure == "keep":
            self.spent += seqs(given.window)

    def _fired(self, decision: Decision) -> None:
        self.fires.append((self.now, decision.reason.value))
        cooldown = self.rule.rule.limits.cooldown
        if decision.reason is Reason.RETRY:
            return
        if decision.reason is Reason.BACKFILL:
            assert self.rule.rule.mode != "shadow"
            assert not self.rule.paused
        if cooldown is not None and decision.reason is not Reason.MANUAL and cooldown.from_ in self.rests_from:
            assert self.now >= self.rests_from[cooldown.from_] + rest_for(self.rule, self.state)
        self.rests_from["fired"] = self.now
        if decision.new_run is None:  # shadow mode: as if the run had succeeded
            self.rests_from["completed"] = self.rests_from["succeeded"] = self.now
        elif "drift" in decision.new_run.triggers:
            self._answered()

    def _answered(self) -> None:
        if self.answered_high and self.rule.rule.limits.overlap != "allow_all":
            assert self.answer_ended is not None
            assert self.now >= self.answer_ended + REPEAT
        self.answered_high, self.answer_ended = self._high(), None

    def _high(self) -> bool:
        known = self.state.gauges.get("drift")
        return known is not None and any(series.raised for series in known.series.values())

    def _check(self, given: Input, done: Step) -> None:
        most = 3 if self.rule.rule.limits.overlap == "allow_all" else 1
        assert len(self.births) == self.state.active <= most
        assert decode(encode(self.state)) == self.state
        assert self.state.wake_at is None or self.state.wake_at > self.now
        assert sorted([*map(_name, self.state.asked), *self.settled]) == sorted(self.asked)
        if self.rule.rule.mode != "shadow":
            self._nothing_lost()

    def _nothing_lost(self) -> None:
        """Each event is pending, in one active run, or consumed."""
        pending = seqs(self.state.window)
        taken = [seq for new_run in self.births for seq in seqs(new_run.window)]
        assert sorted([*pending, *taken, *self.spent]) == list(range(1, self.seq + 1))
        assert len(pending) == self.state.window.events == sum(w.events for w in self.state.windows.values())
        for new_run in self.births:
            assert len(seqs(new_run.window)) == new_run.window.events == sum(w.events for w in new_run.taken.values())

    def slots_twice_or_never(self) -> dict[float, int]:
        """How often each slot until now is settled or waits, for the slots where that is not once."""
        seen: dict[float, int] = defaultdict(int)
        for hour in range(1, int((self.now - START) // HOUR) + 1):
            seen[START + hour * HOUR] = 0
        for record in self.slots:
            moments = range(int(record.slot), int(record.until) + 1, 3600)
            assert len(moments) == record.count
            for moment in moments:
                seen[float(moment)] += 1
        for cursor in self.state.cursors.values():
            for slot in cursor.due:
                seen[slot] += 1
        return {slot: times for slot, times in seen.items() if times != 1}

    def ask(self, slots: int) -> None:
        """Request one run, or a backfill of ``slots`` slots from before the rule began."""
        number = len(self.asked)
        if not slots:
            self.asked.add(f"r{number}")
            self.manual(f"r{number}")
            return
        moments = [START - (number + i) * HOUR for i in range(slots)]
        self.asked |= {f"b{number} {moment:.0f}" for moment in moments}
        self.backfill(*moments, request=f"b{number}")

    def drop(self) -> None:
        self.settled += [_name(asked) for asked in self.state.asked if asked.backfill]
        self.withdraw()

    def do(self, act: tuple[str, Any]) -> None:
        kind, value = act
        if kind == "end" and self.births:
            attempt = 2 if self.births[0].retry_of else 1
            phase, promoted = value
            self.end(phase, attempt, by_request=phase == "CANCELLED", promoted=promoted)
        elif kind == "unrendered" and self.births and self.births[-1].retry_of is None:
            self.give(Unrendered(self.births.pop(), "no such output"))
        elif kind == "pause":
            self.rule = replace(self.rule, paused=not self.rule.paused)
            self.resume()
        elif kind == "alert":
            self.alert(value, self.now)
        elif kind == "age":
            self.tell_age(self.now - value * HOUR)
        elif kind in ("poll", "judge", "ask"):
            getattr(self, kind)(value)
        elif kind in ("event", "poll_fails", "follow", "resume", "drop"):
            getattr(self, kind)()


ACTS = st.one_of(
    st.tuples(st.sampled_from(["event", "poll_fails", "follow", "resume"]), st.none()),
    st.tuples(st.sampled_from(["pause", "unrendered", "drop", ""]), st.none()),
    st.tuples(st.just("ask"), st.sampled_from([0, 0, 1, 3])),
    st.tuples(st.just("poll"), st.sampled_from([0.0, 0.15, 0.3, 0.3, None])),
    st.tuples(st.just("alert"), st.booleans()),
    st.tuples(st.just("judge"), st.booleans()),
    st.tuples(st.just("age"), st.integers(0, 30)),
    st.tuples(st.just("end"), st.tuples(st.sampled_from(ENDS), st.sampled_from([None, True, False]))),
)  # fmt: skip
WAITS = st.sampled_from([0, 0, 1, 7, 20, 60, 119, 180, 301, 600])  # minutes
STORY = st.lists(st.tuples(WAITS, ACTS), min_size=1, max_size=40)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(RULES)), STORY)
def test_promises_hold_whatever_happens(name: str, story: list[tuple[int, tuple[str, Any]]]) -> None:
    world = Checked(RULES[name])
    for minutes, act in story:
        world.wake_until(world.now + minutes * MINUTE)
        world.do(act)
    world.give(Wake())
    if "nightly" in world.rule.schedules:
        assert world.slots_twice_or_never() == {}


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(RULES)), STORY)
def test_promises_hold_though_nobody_woke_it_in_time(name: str, story: list[tuple[int, tuple[str, Any]]]) -> None:
    """The daemon was down: what was due meanwhile is handled at the next input."""
    world = Checked(RULES[name])
    for minutes, act in story:
        world.after(minutes * MINUTE).do(act)
    world.give(Wake())
    if "nightly" in world.rule.schedules:
        assert world.slots_twice_or_never() == {}


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(RULES)), STORY)
def test_it_wakes_when_it_has_to_and_looking_more_often_changes_nothing(
    name: str, story: list[tuple[int, tuple[str, Any]]]
) -> None:
    sleeper, restless = Checked(RULES[name]), Checked(RULES[name])
    for minutes, act in story:
        until = sleeper.now + minutes * MINUTE
        sleeper.wake_until(until)
        while restless.now < until:
            moment = min(until, restless.now + 7 * MINUTE)
            restless.wake_until(moment)
            restless.give(Wake())
        for world in (sleeper, restless):
            world.give(Wake())
            world.do(act)
    assert restless.fires == sleeper.fires
    assert restless.slots == sleeper.slots
    assert restless.state == sleeper.state


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from([0.0, 0.15, 0.3, None]), st.integers(-90, 0)),
        min_size=1,
        max_size=12,
    )
)
def test_values_that_come_together_are_the_fold_of_their_singles(values: list[tuple[str, float | None, int]]) -> None:
    asked = Threshold(0.2, 0.1, high=True, hold=60, row=2, series=2, max_age=60)
    samples = [Sample(series, value, START + at) for series, value, at in values]
    together = level.sampled(asked, ThresholdState(), samples, START, whole=False)
    single = ThresholdState()
    for sample in samples:
        single = level.sampled(asked, single, [sample], START, whole=False)
    assert together == single
