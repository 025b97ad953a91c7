"""Checks of rule tests beyond their models, above all that names in the tests exist in the rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrainer.config.errors import did_you_mean
from retrainer.config.models import AlertmanagerSource, PrometheusSource
from retrainer.config.violation import Violation, not_one
from retrainer.rules.outcome import Reason
from retrainer.simulate.casefile import Ends, Input, moment

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from retrainer.config.configuration import Configuration
    from retrainer.config.models import Rule
    from retrainer.config.tree import Path
    from retrainer.simulate.casefile import Case, Expectation, Values

KINDS = tuple(name for name in Input.model_fields if name not in ("at", "every", "times"))
_REASONS = [reason.value for reason in Reason]


def check_case(path: Path, case: Case, configuration: Configuration) -> Iterator[Violation]:
    """Yield all violations in a test, in the order of the file."""
    rules = {rule.name: rule for rule in configuration.rules}
    for i, goes in enumerate(case.runs):
        yield from _ends((*path, "runs", i), goes, rules)
    for i, given in enumerate(case.inputs):
        yield from _input((*path, "inputs", i), given, configuration, rules)
    for i, expectation in enumerate(case.expect):
        yield from _expectation((*path, "expect", i), expectation, rules)
    yield from _before_start(path, case)


def asked_of(configuration: Configuration, source: str) -> list[str]:
    """Return the queries of the rules to a source."""
    metrics = (trigger.metric for rule in configuration.rules for trigger in rule.triggers.values() if trigger.metric)
    return sorted({metric.expr for metric in metrics if metric.source == source and metric.expr})


def _named(path: Path, what: str, name: str, names: Collection[str]) -> Iterator[Violation]:
    if name not in names:
        yield Violation(path, f"the rules have no {what} `{name}`", did_you_mean(name, names, "list their file"))


def _rule(path: Path, name: str, key: str | None, rules: dict[str, Rule]) -> Iterator[Violation]:
    yield from _named((*path, "rule"), "rule", name, rules)
    if name not in rules or key is None:
        return
    per_key = rules[name].for_each is not None
    if key and not per_key:
        yield Violation((*path, "key"), f"{name} has no key (for_each)", "remove it")
    if not key and per_key:
        yield Violation((*path, "rule"), f"{name} has a key (for_each)", "add `key: …`")


def _ends(path: Path, ends: Ends, rules: dict[str, Rule]) -> Iterator[Violation]:
    yield from _named((*path, "rule"), "rule", ends.rule, rules)
    if ends.rule in rules:
        for name in ends.outputs:
            outputs = rules[ends.rule].submit.outputs
            if name not in outputs:
                hint = did_you_mean(name, outputs, "name it under `submit.outputs`")
                yield Violation((*path, "outputs", name), f"{ends.rule} has no output `{name}`", hint, of_key=True)


def _input(path: Path, given: Input, configuration: Configuration, rules: dict[str, Rule]) -> Iterator[Violation]:
    kinds = [kind for kind in KINDS if getattr(given, kind) is not None]
    if len(kinds) != 1:
        yield Violation(path, f"an input has exactly one kind, {not_one(kinds)}", f"write one of {', '.join(KINDS)}")
    if given.times > 1 and given.event is None:
        yield Violation((*path, "times"), "only an event can arrive several times", "write separate inputs")
    if given.times > 1 and given.every is None:
        yield Violation((*path, "times"), "the interval is missing", "add `every: 1s`")
    yield from _sent(path, given, configuration)
    yield from _by_hand(path, given, rules)


def _sent(path: Path, given: Input, configuration: Configuration) -> Iterator[Violation]:
    for sent, name in ((given.event, "event"), (given.metric, "metric"), (given.alert, "alert")):
        if sent is not None:
            yield from _named((*path, name, "source"), "source", sent.source, configuration.sources)
    if given.alert is not None:
        source = configuration.sources.get(given.alert.source)
        if source is not None and not isinstance(source, AlertmanagerSource):
            yield Violation(
                (*path, "alert", "source"), f"{given.alert.source} is not an Alertmanager source", "send an `event`"
            )
    if given.metric is not None:
        yield from _metric((*path, "metric"), given, given.metric, configuration)


def _by_hand(path: Path, given: Input, rules: dict[str, Rule]) -> Iterator[Violation]:
    if given.end is not None:
        yield from _ends((*path, "end"), given.end, rules)
    for asks, name in ((given.trigger, "trigger"), (given.judge, "judge"), (given.trained, "trained")):
        if asks is not None:
            yield from _rule((*path, name), asks.rule, asks.key, rules)
    for paused, name in ((given.pause, "pause"), (given.resume, "resume")):
        if paused is not None:
            yield from _named((*path, name), "rule", paused, rules)


def _metric(path: Path, given: Input, metric: Values, configuration: Configuration) -> Iterator[Violation]:
    source = configuration.sources.get(metric.source)
    if isinstance(source, PrometheusSource):
        asked = asked_of(configuration, metric.source)
        if metric.expr is None:
            yield Violation(path, "the query is missing", f"add `expr:`; {did_you_mean('', asked, '')}")
        elif metric.expr not in asked:
            hint = did_you_mean(metric.expr, asked, "write it as the rule does")
            yield Violation((*path, "expr"), "no rule has this query", hint)
    elif source is not None:
        if metric.expr is not None:
            yield Violation(
                (*path, "expr"), f"{metric.source} is not polled, it pushes values", "write `metric:` and `labels:`"
            )
        if given.every is None and len(metric.values.split()) + metric.values.count("x") > 1:
            yield Violation(path, "the interval of the values is missing", "add `every: 1m` beside `at`")


def _expectation(path: Path, expectation: Expectation, rules: dict[str, Rule]) -> Iterator[Violation]:
    if expectation.runs is None and expectation.decisions is None:
        yield Violation(path, "nothing is expected", "write `runs:`, `decisions:` or both below `at:`")
    if expectation.rule is not None:
        yield from _named((*path, "rule"), "rule", expectation.rule, rules)
    for i, run in enumerate(expectation.runs or ()):
        here = (*path, "runs", i)
        yield from _rule(here, run.rule, run.key, rules)
        yield from _reason(here, run.reason)
        for trigger in filter(None, (run.trigger, *(run.triggers or ()))):
            if run.rule in rules and trigger != "manual":
                yield from _named(here, f"trigger of {run.rule}", trigger, rules[run.rule].triggers)
        for name in run.parameters or ():
            if run.rule in rules:
                yield from _named(here, f"parameter of {run.rule}", name, rules[run.rule].submit.parameters)
    for i, decision in enumerate(expectation.decisions or ()):
        yield from _rule((*path, "decisions", i), decision.rule, decision.key, rules)
        yield from _reason((*path, "decisions", i), decision.reason)


def _reason(path: Path, reason: str | None) -> Iterator[Violation]:
    if reason is not None and reason not in _REASONS:
        yield Violation((*path, "reason"), f"there is no reason `{reason}`", did_you_mean(reason, _REASONS))


def _before_start(path: Path, case: Case) -> Iterator[Violation]:
    start = moment(case.start, 0.0)
    moments = {"inputs": [given.at for given in case.inputs], "expect": [expected.at for expected in case.expect]}
    for name, listed in moments.items():
        for i, at in enumerate(listed):
            if moment(at, start) < start:
                yield Violation((*path, name, i, "at"), f"before the start, {case.start}", "set an earlier `start`")
