"""Run a rule test, and return the failed expectations with the decisions before them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from retrainer.simulate.casefile import moment
from retrainer.simulate.compare import Mismatch, decisions_differ, in_short, runs_differ, with_offset
from retrainer.simulate.recorder import Recorder
from retrainer.simulate.run_script import RunBehaviour
from retrainer.simulate.timeline import Happening, Impossible, course_of, happenings
from retrainer.simulate.world import World

if TYPE_CHECKING:
    from retrainer.config.configuration import Configuration
    from retrainer.simulate.casefile import Case, Expectation


@dataclass(frozen=True, slots=True)
class Played:
    """Result of a test. It is passed if there are no ``failures``."""

    name: str
    failures: tuple[Mismatch, ...]

    @property
    def passed(self) -> bool:
        return not self.failures


def play(case: Case, configuration: Configuration) -> Played:
    """Run a test that was checked before."""
    recorder = Recorder()
    start = moment(case.start, 0.0)
    world = World(configuration, start, RunBehaviour(partial(course_of, case, configuration)), listener=recorder)
    try:
        return Played(case.name, tuple(_Story(case, configuration, world, recorder).failures()))
    finally:
        world.close()


class _Story:
    """``_looked``: number of runs compared, by rule (empty: all rules); ``_reported``: number of decisions reported."""

    def __init__(self, case: Case, configuration: Configuration, world: World, recorder: Recorder) -> None:
        self._start = moment(case.start, 0.0)
        self._world, self._recorder = world, recorder
        self._looked: dict[str, int] = {}
        self._reported = 0
        things: list[tuple[float, int, Happening | Expectation]] = [
            (happening.at, 0, happening) for happening in happenings(case, configuration)
        ]
        things += [(moment(expected.at, self._start), 1, expected) for expected in case.expect]
        self._things = sorted(things, key=lambda thing: thing[:2])

    def failures(self) -> list[Mismatch]:
        found: list[Mismatch] = []
        for at, _, thing in self._things:
            self._world.advance(at)
            if not isinstance(thing, Happening):
                found += self._look(at, thing)
                continue
            try:
                thing.do(self._world)
            except Impossible as error:
                return [*found, self._between(Mismatch(at, str(error)))]
        return found

    def _look(self, at: float, expected: Expectation) -> list[Mismatch]:
        failures = []
        if expected.runs is not None:
            rule = expected.rule or ""
            fresh = self._recorder.runs[self._looked.get(rule, 0) :]
            self._looked[rule] = len(self._recorder.runs)
            failure = runs_differ(at, expected.runs, [r for r in fresh if rule in ("", r.rule)], self._start)
            failures += [self._between(failure)] if failure is not None else []
        for decision in expected.decisions or ():
            failure = decisions_differ(at, decision, self._recorder.decisions, self._start)
            failures += [self._between(failure, (decision.rule, decision.key))] if failure is not None else []
        self._reported = len(self._recorder.decisions)
        return failures

    def _between(self, failure: Mismatch, of: tuple[str, str] | None = None) -> Mismatch:
        """Add the decisions since the last comparison, of one rule and key or of all."""
        fresh = self._recorder.decisions[self._reported :]
        decided = [d for d in fresh if of is None or (d.rule, d.key) == of]
        lost = [f"{with_offset(at, self._start)}  dead letter: {text}" for at, text in self._recorder.dead_letters]
        return replace(failure, decided=(*in_short(decided, self._start), *lost))
