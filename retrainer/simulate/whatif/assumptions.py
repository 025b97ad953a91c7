"""Sentences: what a simulation assumes, and whether the rule as it is agrees with what really happened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from retrainer.simulate.outcome import Outcome, PlayedRun, differences
from retrainer.simulate.whatif.variants import RUN_DURATION
from retrainer.util.counts import many
from retrainer.util.timefmt import rfc3339, within

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retrainer.config.configuration import Configuration
    from retrainer.config.models import Rule
    from retrainer.simulate.whatif.job import WhatIfJob
    from retrainer.simulate.whatif.snapshot import Kept

MINUTE = slice(0, 16)


@dataclass(frozen=True, slots=True)
class PlayedCase:
    """A simulation that was played: what was asked, from which inputs, with which rules."""

    job: WhatIfJob
    inputs: Kept
    configuration: Configuration
    revision: str
    mode: str

    @property
    def named_rules(self) -> list[Rule]:
        """The rules that are played and may be named."""
        named = {self.job.rule, *self.job.companions} - set(self.job.hidden)
        return [rule for rule in self.configuration.rules if rule.name in named]

    @property
    def rule(self) -> Rule:
        return next(rule for rule in self.configuration.rules if rule.name == self.job.rule)

    @property
    def recorded_rows(self) -> list[dict[str, Any]]:
        job = self.job
        mine = (run for run in self.inputs.runs if run["rule"] == job.rule)
        return [run for run in mine if job.since <= run["created_at"] <= job.until]

    @property
    def recorded(self) -> Outcome:
        """The runs of the rule in the period that really were created."""
        return Outcome(tuple(map(_run, self.recorded_rows)), ())


def _run(run: dict[str, Any]) -> PlayedRun:
    same = ("rule", "key", "trigger", "reason", "attempt", "phase", "ended_at", "gpu_hours")
    fields = {name: run[name] for name in same}
    return PlayedRun(**fields, at=run["created_at"], started_at=run["admitted_at"], detail="")


def assumptions(case: PlayedCase) -> list[str]:
    """Return what the simulation assumes, one sentence each."""
    return [*_of_inputs(case), *_of_runs(case), *_of_rules(case)]


def _of_inputs(case: PlayedCase) -> Iterator[str]:
    begin = case.inputs.begin
    if begin is None:
        yield "No input of this rule is kept for this period; only schedules and the age of the model act."
    elif not case.inputs.whole:
        played = many(len(case.inputs.events), "event")
        yield f"Too many inputs: only the latest are played, {played} from {_time(begin)} on."
    elif begin > case.job.since:
        yield f"No input before {_time(begin)} is kept: both variants begin then, without data and without a last run."
    else:
        yield f"Inputs are played from {_time(begin)} on, so that windows and cooldowns are right at the beginning."
    if begin is not None and any(t.metric is not None and t.metric.jitter for t in case.rule.triggers.values()):
        yield (
            "A metric that is past its threshold at its first played value waits for `jitter`, as it does for a new "
            "rule, although the daemon may have waited before, or not at all."
        )
    yield "Events are played as they arrived, also those that a run caused, whether or not that run starts here."
    polled = case.inputs.history().polled
    for rule in case.named_rules:
        for name, trigger in rule.triggers.items():
            metric = trigger.metric
            if metric is not None and metric.expr is not None and (metric.source, metric.expr) not in polled:
                yield f"The query of {name} of rule {rule.name} was not polled in this time: it has no data."


def _of_runs(case: PlayedCase) -> Iterator[str]:
    mine = [run for run in case.inputs.runs if run["rule"] == case.job.rule]
    ended = sum(run["ended_at"] is not None and run["submitted_at"] is not None for run in mine)
    if ended:
        yield "A run that starts at the time of a recorded run ends as that one did."
        yield (
            "Any other run has duration, phase, outputs and GPU hours of the recorded run that was created closest to "
            f"it, of {many(ended, 'recorded run')}."
        )
    else:
        yield f"No run of this rule has ended yet: each run takes {within(RUN_DURATION)}, succeeds, and costs nothing."
    yield "The daemon is assumed to be up, on time, and able to submit each run."


def _of_rules(case: PlayedCase) -> Iterator[str]:
    job = case.job
    if case.mode != "active":
        yield f"The rule is in mode {case.mode}; here it is played as if it were active."
    if named := [rule.name for rule in case.named_rules if rule.name != job.rule]:
        yield f"Played with it, unchanged: {', '.join(named)}."
    if job.hidden:
        yield "Rules that it follows and that this token does not see are played with it, unchanged."
    if job.left_out:
        yield f"{many(job.left_out, 'other rule')} of its pool or budget are not played: no run waits for theirs."
    if job.hidden_share:
        yield "Rules that this token does not see share its pool or budget. They are not played: no run waits for them."
    yield "The text of the rule is the same for the whole period; edits are not played."


def agreement(case: PlayedCase, current: Outcome) -> tuple[bool, str]:
    """Return whether the rule as it is makes the runs that are recorded, and a sentence that says so, or why not."""
    recorded = case.recorded
    differ = differences(recorded, Outcome(current.runs, ()))
    if not differ:
        return True, f"As it is, the rule makes exactly the runs that are recorded: {len(recorded.runs)}."
    gone, new = sum(d.sign == "-" for d in differ), sum(d.sign == "+" for d in differ)
    same = len(recorded.runs) - gone
    what = f"As it is, the rule makes {same} of the {many(len(recorded.runs), 'recorded run')}, and {new} others."
    return False, " ".join([what, *_reasons(case)])


def _reasons(case: PlayedCase) -> Iterator[str]:
    job, begin = case.job, case.inputs.begin
    older = [run for run in case.recorded_rows if run["revision"] != case.revision]
    if older:
        yield f"{many(len(older), 'recorded run')} started by an earlier text of the rule."
    if begin is None or begin > job.since or not case.inputs.whole:
        yield "Earlier inputs, which the daemon had, are not played."
    if case.mode != "active":
        yield f"The rule is in mode {case.mode}."
    if job.left_out or job.hidden_share:
        yield "Other rules took slots of its pool or budget."
    if not older:
        yield "The daemon may have been down, late, or reloaded in this time."


def _time(at: float) -> str:
    return f"{rfc3339(at)[MINUTE].replace('T', ' ')} UTC"
