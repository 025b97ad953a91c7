"""A state machine of any rules, events and faults: an exception in one rule does not affect the other rules.

Each side has its own kind of store. All sides get the same inputs and must reach the same state. A model without the
bad rule and without faults gives the expected state of the other rules.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from retrainer.engine.core import engine
from retrainer.event import Event, Poison
from retrainer.sources.base import OffsetRange
from retrainer.store.sqlite import SqliteStore
from retrainer.util.timefmt import rfc3339
from tests.houses.engine import Crash
from tests.unit.engine.deeds import (
    ASKED,
    PART,
    attempted,
    claim,
    inbox_in,
    letter_name,
    letters_again,
    load,
    observe,
    of_run,
    push,
    quarantined,
    resume,
    standby_intake,
    submit,
    turn,
)
from tests.unit.engine.drawn import (
    DRAWN,
    FAULTS,
    NEIGHBOURS,
    ODD_OUTPUTS,
    PHASES,
    PUSHED,
    SECONDS,
    configured,
)
from tests.unit.engine.grammar import DATUM
from tests.unit.engine.holds import acknowledged_is_there, counted_once, fails_alone, unlike
from tests.unit.engine.kit import START
from tests.unit.engine.side import Side
from tests.unit.engine.switchboard import BAD, PLACES, Fault, Switchboard, forget_what_is_remembered

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrainer.store.base import Store

SWITCHBOARD = Switchboard()
IN_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
"""No process really dies here, so nothing has to be written to a disk."""

crashes = st.sampled_from(["", "", "", "", "before", "after"])
who = st.sampled_from([BAD, "other"])
which = st.integers(0, 30)


class AnyFault(RuleBasedStateMachine):
    builds: ClassVar[Any] = {"sqlite": SqliteStore.open}
    """How to open the store of each side, by name."""

    @initialize(bad=DRAWN, other=DRAWN)
    def begin(self, bad: list[dict[str, Any]], other: list[dict[str, Any]]) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=IN_MEMORY))
        self.drawn_other = other
        SWITCHBOARD.take_out()
        forget_what_is_remembered()
        SWITCHBOARD.rules = frozenset((*NEIGHBOURS, BAD))
        self.retry_after, engine.RETRY_AFTER = engine.RETRY_AFTER, 0.001
        with_bad = configured(bad, other, with_bad=True)
        self.sides = [self.side(name, build, with_bad) for name, build in self.builds.items()]
        self.model = self.side("", SqliteStore.open, configured([], other, with_bad=False))
        self.number = 0
        self.sent: dict[str, Event] = {}
        self.acknowledged: list[tuple[str, str, str]] = []
        self.created: Counter[tuple[str, str]] = Counter()
        self.letters_kept = True
        self.faulty = False
        """Whether there was a fault since the logs were last checked."""

    def side(self, name: str, build: Callable[[Path], Store], configuration: Any) -> Side:
        return Side(name, self.folder / f"{name or 'model'}.db", START, build, configuration, SWITCHBOARD.on)

    def teardown(self) -> None:
        if hasattr(self, "model"):
            SWITCHBOARD.take_out()
            engine.RETRY_AFTER = self.retry_after
            for side in (*self.sides, self.model):
                side.store.close()
            shutil.rmtree(self.folder)

    # -- the same inputs for all sides -----------------------------------------------------------------------------

    def all_do(self, do: Callable[[Side], Any], crash: str = "", *, model: bool = True) -> Any:
        """Run ``do`` on each side, again after a simulated crash. Return the result, which all sides must share."""
        self.faulty = self.faulty or SWITCHBOARD.fault is not None
        came = [self.survive(side, do, crash) for side in self.sides]
        assert all(each == came[0] for each in came), came
        if crash == "before":
            self.model.restart()
        if model:
            attempted(do, self.model)
        if crash == "after":
            self.model.restart()
            if model:
                attempted(do, self.model)
        for side in (*self.sides, self.model):
            side.settle()
        return came[0]

    def survive(self, side: Side, do: Callable[[Side], Any], crash: str) -> Any:
        side.crash_at = crash
        try:
            came = attempted(do, side)
        except Crash:
            side.crash_at = ""
            side.restart()
            return attempted(do, side)
        if side.crash_at:  # there was nothing to write
            side.crash_at = ""
            side.restart()
            return attempted(do, side)
        if crash:
            raise AssertionError("it should have died")
        return came

    @rule(
        pushed=st.lists(PUSHED, min_size=1, max_size=6),
        road=st.sampled_from(["push", "stream", "standby-intake"]),
        crash=crashes,
    )
    def events_come(self, pushed: list[tuple[str, Any]], road: str, crash: str) -> None:
        source = "stream" if road == "stream" else "push"
        items = [self.item(source, kind, what) for kind, what in pushed]
        offsets = None
        if road == "stream":
            claimed = self.all_do(claim)
            offsets = OffsetRange(PART, claimed.epoch, claimed.next, claimed.next + len(items))
        elif road == "standby-intake":
            self.all_do(partial(standby_intake, items))
        do = inbox_in if road == "standby-intake" else partial(push, items, offsets=offsets)
        came = self.all_do(do, crash)
        if road == "standby-intake" or (road == "stream" and crash == "after"):
            return  # acknowledged by the replica before, or stored before the crash
        assert isinstance(came, list), came
        assert len(came) == len(items)
        self.acknowledged += [(item.source, item.id, word) for item, word in zip(items, came, strict=True)]

    def item(self, source: str, kind: str, what: Any) -> Event | Poison:
        self.number += 1
        now = self.model.clock.time
        if kind == "poison":
            return Poison(source, f"p{self.number}", what.encode(), "nobody can read it")
        if kind == "good":
            name = f"g{what}" if source == "push" else f"s{self.number}"
            emitted = {"kind": "g", "key": f"k{what % 5}", "who": what % 3}
        else:
            name = f"e{self.number}"
            emitted = {"metric": "psi", "value": what, "labels": {}} if kind == "psi" else what
        if name not in self.sent:
            record = {"topic": "t", "partition": 0, "offset": self.number, "headers": {}} if source == "stream" else {}
            self.sent[name] = Event(source, name, "t", now, emitted, record=record)
        return self.sent[name]

    @rule(
        firing=st.booleans(),
        number=st.integers(0, 2),
        labels=st.dictionaries(st.sampled_from("ax"), DATUM),
        crash=crashes,
    )
    def an_alert_comes(self, firing: bool, number: int, labels: dict[str, Any], crash: str) -> None:
        status, other = ("firing", "resolved") if firing else ("resolved", "firing")
        began = rfc3339(START + 100 * number)
        emitted = {"status": status, "fingerprint": f"f{number}", "startsAt": began, "labels": labels}
        name = f"f{number}:{began}:"
        event = Event(
            "alerts", name + status, f"alertmanager.{status}", self.model.clock.time, emitted, takes_back=name + other
        )
        self.all_do(partial(push, [event]), crash)

    @rule(values=st.lists(st.floats() | st.none(), max_size=3), error=st.sampled_from(["", "", "down"]), crash=crashes)
    def a_poll_is_answered(self, values: list[float | None], error: str, crash: str) -> None:
        now = self.model.clock.time
        series = [{"labels": {"n": str(n)}, "value": value, "time": now} for n, value in enumerate(values)]
        emitted = {"expr": "psi", "series": series, "error": error}
        self.number += 1
        event = Event("prom", f"q{self.number}", "prometheus.query", now, emitted)
        self.all_do(partial(push, [event]), crash)

    @rule(seconds=SECONDS, crash=crashes)
    def time_passes(self, seconds: float, crash: str) -> None:
        for side in (*self.sides, self.model):
            side.clock.time += seconds
        self.all_do(turn, crash)

    @rule(lost=st.integers(0, 9), crash=crashes)
    def what_may_start_is_submitted(self, lost: int, crash: str) -> None:
        """The answers of some requests are lost."""
        self.all_do(partial(submit, lost, self.created), crash)

    @rule(which=which, phase=PHASES, outputs=ODD_OUTPUTS, crash=crashes)
    def a_workflow_is_seen(self, which: int, phase: str, outputs: dict[str, str], crash: str) -> None:
        names = sorted(self.sides[0].named_cluster())
        if names:
            self.all_do(partial(observe, names[which % len(names)], phase, outputs), crash)

    @rule(which=which, what=st.sampled_from(["cancel", "retry"]), crash=crashes)
    def somebody_has_a_run_end_or_go_on(self, which: int, what: str, crash: str) -> None:
        names = self.sides[0].names_of_runs()
        if names:
            self.all_do(partial(of_run, names[which % len(names)], what), crash)

    @rule(name=who, what=st.sampled_from(["pause", "resume", "trigger", "backfill", "withdraw"]), crash=crashes)
    def somebody_asks(self, name: str, what: str, crash: str) -> None:
        self.all_do(partial(ASKED[what], name), crash, model=name != BAD)

    @rule(which=which, again=st.booleans(), crash=crashes)
    def somebody_looks_at_dead_letters(self, which: int, again: bool, crash: str) -> None:
        letters = sorted({letter_name(row) for row in self.sides[0].rows("dead_letters")})
        if letters:
            self.letters_kept = False
            self.all_do(partial(letters_again, letters[which % len(letters)], again), crash)

    @rule(bad=DRAWN, crash=st.sampled_from(["", "", "before", "after"]))
    def the_bad_rule_is_edited(self, bad: list[dict[str, Any]], crash: str) -> None:
        configuration = configured(bad, self.drawn_other, with_bad=True)
        self.all_do(partial(load, configuration), crash, model=False)

    @rule(how=st.sampled_from(["restart", "dispatch"]))
    def another_process_goes_on(self, how: str) -> None:
        for side in (*self.sides, self.model):
            getattr(side, how)()
        self.all_do(turn)

    # -- faults ----------------------------------------------------------------------------------------------------

    @rule(**FAULTS)
    def something_breaks(self, place: int, kind: str, when: str, number: int) -> None:
        """Put a fault into a place that the bad rule reaches."""
        fault = Fault(PLACES[SWITCHBOARD.known[place % len(SWITCHBOARD.known)]], kind, when, number)
        note(f"in {fault.place.path}")
        self.it_is_mended()  # a rule in quarantine is not evaluated
        SWITCHBOARD.put_in(fault)
        self.something_happens(place)

    @rule(**FAULTS)
    def something_else_breaks(self, **drawn: Any) -> None:
        """A second rule of the state machine, so that faults are more frequent."""
        self.something_breaks(**drawn)

    def something_happens(self, what: int) -> None:
        """Inputs for all rules, including the bad one: they reach most faults."""
        for n in range(2):
            self.events_come([("good", what % 41), ("psi", 0.9), ("good", what % 37)], ("push", "stream")[n], "")
            self.everything_holds()
        self.a_poll_is_answered([0.5], "", "")
        self.an_alert_comes(what % 2 == 0, what % 3, {}, "")
        self.everything_holds()
        self.time_passes(3600.0, "")
        self.what_may_start_is_submitted(what % 4, "")
        self.everything_holds()
        for n in range(3):
            self.a_workflow_is_seen(what + n, ("Succeeded", "Failed", "gone")[(what + n) % 3], {"a": "7"}, "")

    @rule()
    def it_is_mended(self) -> None:
        SWITCHBOARD.take_out()
        self.all_do(partial(resume, BAD), model=False)
        for side in self.sides:
            if BAD in side.engine.catalog.rules:
                assert not [row["key"] for row in side.rows("states") if quarantined(row)], "tried again, and well"

    # -- invariants ------------------------------------------------------------------------------------------------

    @invariant()
    def everything_holds(self) -> None:
        if not hasattr(self, "model"):
            return
        first, *others = self.sides
        everything = first.everything()
        for side in others:
            for table, rows in side.everything().items():
                assert rows == everything[table], (
                    f"{side.name} and {first.name} differ in {table}: {unlike(everything[table], rows)}"
                )
        wanted, seen = self.model.seen_of(NEIGHBOURS), first.seen_of(NEIGHBOURS)
        for kind, rows in wanted.items():
            assert seen[kind] == rows, f"{kind} of the neighbours: {unlike(rows, seen[kind])}"
        self.only_the_bad_rule_fails()
        acknowledged_is_there(first, self.acknowledged, letters=self.letters_kept)
        for side in self.sides:
            counted_once(side)
            assert side.engine.failing_since is None

    def only_the_bad_rule_fails(self) -> None:
        for side in (*self.sides, self.model):
            fails_alone(side, faulty=self.faulty and side is not self.model)
            side.said.clear()
            side.turns = 0
        self.faulty = SWITCHBOARD.fault is not None
