"""Answer a job: read the snapshot, edit and check the rule, play both variants, and compare them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from retrainer.simulate.outcome import Outcome, differences, totals
from retrainer.simulate.traces import Trace, TraceMetric, thinned, trace
from retrainer.simulate.whatif.assumptions import PlayedCase, agreement, assumptions
from retrainer.simulate.whatif.edit import changed
from retrainer.simulate.whatif.fields import movable
from retrainer.simulate.whatif.job import WhatIfError
from retrainer.simulate.whatif.proposal import Proposal, RuleText
from retrainer.simulate.whatif.snapshot import Kept, opened
from retrainer.simulate.whatif.variants import ChildPlay, active, play
from retrainer.util.counts import many

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrainer.config.configuration import Configuration
    from retrainer.config.models import Rule
    from retrainer.simulate.outcome import PlayedRun
    from retrainer.simulate.whatif.job import WhatIfJob
    from retrainer.simulate.whatif.snapshot import Snapshot

MOST_RUNS = 500
MOST_DIFFERENCES = 200
POINTS = 400
"""Approximate maximum of points of a line."""
DAY = 86400.0
READ, PLAYED = 0.15, 0.95
"""Shares of the progress: the inputs are read, both variants are played."""


class Played(NamedTuple):
    """The rule as it is: what it decided, and what the chart shows of it."""

    outcome: Outcome
    trace: Trace


class PlayedMemory:
    """What the last job read and played. It is used again for other changes of the same rule and period."""

    def __init__(self) -> None:
        self._inputs_of: object = None
        self._inputs: Kept | None = None
        self._played: Played | None = None

    def inputs(self, key: object, read_inputs: Callable[[], Kept]) -> Kept:
        """Return the inputs of ``key``. They are read if the last job had others, which are forgotten before."""
        if self._inputs is None or self._inputs_of != key:
            self._inputs = self._played = None
            self._inputs, self._inputs_of = read_inputs(), key
        return self._inputs

    def played(self, play_it: Callable[[], Played]) -> Played:
        """Return what the rule as it is decided on the last inputs. It is played if the last job had others."""
        if self._played is None:
            self._played = play_it()
        return self._played


class Answer:
    """The answer of one job. ``watch`` gets the child that plays the changed rule."""

    def __init__(
        self,
        job: WhatIfJob,
        memory: PlayedMemory,
        watch: Callable[[ChildPlay], None],
        report: Callable[[float, str], None],
    ) -> None:
        self._job, self._memory, self._watch, self._report = job, memory, watch, report

    def make(self) -> dict[str, Any]:
        """Return the result. Raise WhatIfError, whose message is for the user."""
        job = self._job
        self._report(0.0, "reading rules and inputs")
        with opened(job.store) as snapshot:
            try:
                text, new, current, proposed = _variants(job, snapshot)
            except ValueError as error:
                if MemoryError.__name__ in str(error):  # the validator reports any error as a problem of the file
                    raise MemoryError from None
                raise WhatIfError(str(error)) from None
            inputs = self._inputs(snapshot, text, current, proposed)
        now, then = self._play(inputs, current, proposed, same=new == text.text)
        self._report(PLAYED, "comparing")
        case = PlayedCase(job, inputs, current, current.rule_revision(job.rule), _rule(current, job.rule).mode)
        return {
            **_compared(case, now.outcome, then),
            **_drawn(case, now.trace, proposed),
            "changed": _written(text.proposed(new)),
            "shadow": _written(text.shadow(new, job.shadow, job.changes)),
        }

    def _inputs(self, snapshot: Snapshot, text: RuleText, current: Configuration, proposed: Configuration) -> Kept:
        """Return the inputs. They are read again if rules or runs are others by now: then the inputs are, too."""
        job = self._job
        rules = {job.rule, *job.companions}
        sources = {source for side in (current, proposed) for rule in side.rules for source in sources_of(rule)}
        runs = snapshot.runs(rules)
        key = (job.store, job.rule, job.since, job.until, rules, sources, dict(text.files), runs)
        inputs = self._memory.inputs(key, lambda: _inputs(job, snapshot, runs, sources, _rule(current, job.rule)))
        self._report(READ, "playing" if job.hidden else f"playing {many(len(inputs.events), 'event')}")
        return inputs

    def _play(
        self, inputs: Kept, current: Configuration, proposed: Configuration, *, same: bool
    ) -> tuple[Played, Outcome]:
        """Return what the rule as it is did, and the outcome of the changed one; both are played at the same time."""
        job = self._job
        child: ChildPlay | None = None
        alone = active(proposed, job.rule)
        if not same:
            child = ChildPlay(job.seconds, lambda: play(inputs.history(), alone, job.until, self._advance))
            self._watch(child)
        try:
            now = self._memory.played(lambda: self._played(inputs, current))
            return now, _only(child.outcome(), job) if child is not None else now.outcome
        finally:
            if child is not None:
                child.stop()

    def _played(self, inputs: Kept, current: Configuration) -> Played:
        job = self._job
        outcome = play(inputs.history(), active(current, job.rule), job.until, self._advance)
        (traced,) = trace(_alone(current, job.rule), inputs.history().records(), (), job.since, job.until).values()
        return Played(_only(outcome, job), traced)

    def _advance(self, share: float) -> None:
        self._report(READ + (PLAYED - READ) * share, "playing")


def _variants(job: WhatIfJob, snapshot: Snapshot) -> tuple[RuleText, str, Configuration, Configuration]:
    text = RuleText.find(snapshot.files(), job.rule, {job.rule, *job.companions})
    if job.namespaces is not None:  # the lines around it may be of others
        text = replace(text, context=0)
    new = changed(job.text or text.text, job.changes)
    current = text.load("".join(text.lines))
    proposed = text.load(text.replaced(new))
    if job.rule not in {rule.name for rule in proposed.rules}:
        raise ValueError(f"the text is of another rule: keep `name: {job.rule}`")
    return text, new, current, proposed


def _rule(configuration: Configuration, name: str) -> Rule:
    return next(rule for rule in configuration.rules if rule.name == name)


def sources_of(rule: Rule) -> set[str]:
    kinds = ((trigger.data, trigger.metric, trigger.alert) for trigger in rule.triggers.values())
    return {one.source for kind in kinds for one in kind if one is not None}


def _inputs(job: WhatIfJob, snapshot: Snapshot, runs: list[dict[str, Any]], sources: set[str], rule: Rule) -> Kept:
    """Read the inputs of the period, and so many before it that the state at its beginning is right.

    A run empties the window of data. So inputs begin at one, if there is one, else a batch would be cut elsewhere.
    """
    begin = job.since - warm_up(rule)
    if any(trigger.data for trigger in rule.triggers.values()):
        before = [run["created_at"] for run in runs if run["rule"] == job.rule and run["created_at"] < begin]
        begin = max(before, default=0.0)
    found = snapshot.inputs({job.rule, *job.companions}, sources, begin, job.until)
    return Kept(found.events, found.journal, runs, found.begin, found.whole)


def warm_up(rule: Rule) -> float:
    """Return for how many seconds an input may have effects: twice the longest wait of the rule, and a day."""
    return DAY + 2 * max((field.value or 0.0 for field in movable(rule) if field.unit == "seconds"), default=0.0)


def _only(outcome: Outcome, job: WhatIfJob) -> Outcome:
    runs = tuple(run for run in outcome.runs if run.rule == job.rule)
    return Outcome(runs, tuple(d for d in outcome.decisions if d.rule == job.rule)).within(job.since, job.until)


def _compared(case: PlayedCase, current: Outcome, proposed: Outcome) -> dict[str, Any]:
    differ = differences(current, proposed)
    agrees, sentence = agreement(case, current)
    return {
        "current": _variant(current),
        "proposed": _variant(proposed),
        "recorded": _variant(case.recorded),
        "differences": [
            {"at": d.at, "key": d.key, "run": "new" if d.sign == "+" else "gone", "reason": d.reason, "why": d.why}
            for d in differ[:MOST_DIFFERENCES]
        ],
        "differences_left_out": max(0, len(differ) - MOST_DIFFERENCES),
        "agrees": agrees,
        "agreement": sentence,
        "assumptions": assumptions(case),
    }


def _variant(outcome: Outcome) -> dict[str, Any]:
    sums = next(iter(totals(outcome).values()), None)
    if sums is None:
        return {"runs": 0, "run_hours": 0.0, "gpu_hours": 0.0, "phases": {}, "reasons": {}, "held": {}, "shown": []}
    held = dict(sorted(sums.held.items(), key=lambda one: -one[1]))
    hours = {"run_hours": round(sums.run_hours, 3), "gpu_hours": round(sums.gpu_hours, 3)}
    shown = list(map(_run, outcome.runs[:MOST_RUNS]))
    return {"runs": sums.runs, **hours, "phases": sums.phases, "reasons": sums.reasons, "held": held, "shown": shown}


def _run(run: PlayedRun) -> dict[str, Any]:
    names = ("at", "ended_at", "key", "trigger", "reason", "detail", "phase", "attempt")
    return {name: getattr(run, name) for name in names}


def _drawn(case: PlayedCase, now: Trace, proposed: Configuration) -> dict[str, Any]:
    """Return what the chart shows below the runs: events, and metrics with both thresholds."""
    job = case.job
    (then,) = trace(_alone(proposed, job.rule), (), (), job.since, job.until).values()
    metrics = [_metric(metric, then.metrics.get(name)) for name, metric in now.metrics.items()]
    return {"played_from": case.inputs.begin, "events": now.bars, "metrics": metrics}


def _metric(now: TraceMetric, then: TraceMetric | None) -> dict[str, Any]:
    lines = {series: list(map(list, thinned(line, POINTS))) for series, line in now.lines.items()}
    return {
        "name": now.name,
        "current": _threshold(now.threshold),
        "proposed": _threshold(then.threshold) if then is not None else None,
        "left_out": now.left_out,
        "lines": [{"series": series, "points": points} for series, points in lines.items()],
    }


def _alone(configuration: Configuration, rule: str) -> Configuration:
    return replace(configuration, rules=(_rule(configuration, rule),))


def _threshold(threshold: Any) -> dict[str, float | bool]:
    return {"bound": threshold.bound, "clear": threshold.clear, "above": threshold.high}


def _written(proposal: Proposal) -> dict[str, Any]:
    return {"file": proposal.file, "yaml": proposal.yaml, "diff": proposal.diff, "problems": list(proposal.problems)}
