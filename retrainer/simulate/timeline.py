"""Convert the inputs of a test to actions on a `World`, in order of time."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from retrainer.config.models import PrometheusSource
from retrainer.engine.commands import feedback, operator_commands
from retrainer.engine.intake.samples import QUERY
from retrainer.event import Event
from retrainer.rules.outcome import Imported
from retrainer.runs.run import Run, RunPhase
from retrainer.simulate import notation
from retrainer.simulate.casefile import moment
from retrainer.simulate.notation import Gap
from retrainer.simulate.run_script import GPU, RunScript
from retrainer.store import run_statements

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from retrainer.config.configuration import Configuration
    from retrainer.simulate.casefile import AlertSent, Case, Ends, Input, Sent, Values
    from retrainer.simulate.world import World


class Impossible(Exception):
    """An input of the test is not possible in the current state."""


@dataclass(frozen=True, slots=True)
class Happening:
    """An action at a time (epoch seconds). ``do`` may raise Impossible."""

    at: float
    do: Callable[[World], None]


def happenings(case: Case, configuration: Configuration) -> list[Happening]:
    """Return all actions in order of time. Actions at the same time keep the order in the file."""
    start = moment(case.start, 0.0)
    found: list[Happening] = []
    polls: dict[tuple[str, str], dict[float, list[_Polled]]] = defaultdict(lambda: defaultdict(list))
    for number, given in enumerate(case.inputs):
        metric = given.metric
        if metric is not None and isinstance(configuration.sources[metric.source], PrometheusSource):
            for at, value in _spread(given, metric, start, configuration):
                polls[metric.source, metric.expr or ""][at].append(_Polled(metric.labels, value, at - metric.age))
        else:
            found += _single(number, given, start, configuration)
    for (source, expr), by_time in polls.items():
        found += [Happening(at, partial(_poll, source, expr, series, at)) for at, series in by_time.items()]
    return sorted(found, key=lambda happening: happening.at)


def course_of(case: Case, configuration: Configuration, run: Run) -> RunScript | None:
    """Return the script of a run from the test's `runs`; None if the run lasts until it is ended."""
    goes = next((g for g in case.runs if g.rule == run.rule and g.key in (None, run.key)), None)
    return course(goes, configuration, goes.lasts) if goes is not None else None


def course(ends: Ends, configuration: Configuration, lasts: float = 0.0) -> RunScript:
    wanted = next(rule for rule in configuration.rules if rule.name == ends.rule).submit.outputs
    outputs = {wanted[name].parameter: _text(value) for name, value in ends.outputs.items()}
    resources = {GPU: ends.gpu_hours * 3600} if ends.gpu_hours else {}
    return RunScript(lasts, RunPhase(ends.phase), outputs, resources)


@dataclass(frozen=True, slots=True)
class _Polled:
    labels: Mapping[str, str]
    value: notation.Value
    taken_at: float


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _spread(
    given: Input, metric: Values, start: float, configuration: Configuration
) -> Iterator[tuple[float, notation.Value]]:
    source = configuration.sources[metric.source]
    otherwise = source.polling_interval if isinstance(source, PrometheusSource) else 0.0
    every = otherwise if given.every is None else given.every
    at = moment(given.at, start)
    for n, value in enumerate(notation.read(metric.values)):
        yield at + n * every, value


def _single(number: int, given: Input, start: float, configuration: Configuration) -> Iterator[Happening]:
    at = moment(given.at, start)
    if given.event is not None:
        for n in range(given.times):
            when = at + n * (given.every or 0.0)
            event = _event(given.event, f"event-{number}-{n}", when, start)
            yield Happening(when, partial(_deliver, event))
    elif given.metric is not None:
        for n, (when, value) in enumerate(_spread(given, given.metric, start, configuration)):
            if not isinstance(value, Gap):
                yield Happening(when, partial(_deliver, _pushed(given.metric, f"value-{number}-{n}", when, value)))
    elif given.alert is not None:
        yield Happening(at, partial(_deliver, _alert(given.alert, at)))
    else:
        yield Happening(at, _act(given, start, configuration))


def _act(given: Input, start: float, configuration: Configuration) -> Callable[[World], None]:
    if given.end is not None:
        return partial(_end, given.end, course(given.end, configuration))
    if given.trigger is not None:
        asks = given.trigger
        return _by_hand(lambda tx: operator_commands.trigger(tx, asks.rule, asks.key, asks.parameters, None))
    if given.judge is not None:
        judges = given.judge
        return partial(_judge, judges.rule, judges.key, judges.promoted)
    if given.trained is not None:
        age = given.trained
        return _by_hand(lambda tx: tx.take(age.rule, age.key, Imported(moment(age.succeeded, start))))
    if given.pause is not None:
        paused = given.pause
        return _by_hand(lambda tx: operator_commands.pause(tx, paused, "by the test"))
    return _by_hand(lambda tx: operator_commands.resume(tx, str(given.resume)))


def _by_hand(act: Callable[[Any], Any]) -> Callable[[World], None]:
    def do(world: World) -> None:
        try:
            world.act(act)
        except (LookupError, ValueError) as error:
            raise Impossible(str(error)) from None

    return do


def _event(sent: Sent, own_id: str, at: float, start: float) -> Event:
    time = at if sent.time is None else moment(sent.time, start)
    return Event(sent.source, sent.id or own_id, sent.type, time, sent.data, sent.subject)


def _pushed(metric: Values, own_id: str, at: float, value: float | None) -> Event:
    data = {"metric": metric.metric, "value": value, "labels": metric.labels}
    return Event(metric.source, own_id, "json", at - metric.age, data)


def _alert(sent: AlertSent, at: float) -> Event:
    """Return an event as `sources/formats/alertmanager.py` creates it."""
    fingerprint = hashlib.sha256(repr(sorted(sent.labels.items())).encode()).hexdigest()[:16]
    data = {
        "status": sent.status,
        "labels": sent.labels,
        "annotations": {},
        "startsAt": datetime.fromtimestamp(at, UTC).isoformat(),
        "fingerprint": fingerprint,
    }
    name = sent.labels.get("alertname", "")
    return Event(sent.source, f"{fingerprint}:{at}:{sent.status}", f"alertmanager.{sent.status}", at, data, name)


def _deliver(event: Event, world: World) -> None:
    world.deliver(event.source, [event])


def _poll(source: str, expr: str, series: Sequence[_Polled], at: float, world: World) -> None:
    """Deliver an event as `sources/prometheus/poll.py` creates it."""
    failed = any(one.value is Gap.ERROR for one in series)
    rows = [
        {"labels": dict(one.labels), "value": one.value, "time": one.taken_at}
        for one in series
        if not isinstance(one.value, Gap) and not failed
    ]
    data = {"expr": expr, "sample_time": "", "series": rows, "error": "the query failed" if failed else ""}
    world.deliver(source, [Event(source, f"{expr}:{at}", QUERY, at, data, expr)], identity_window=0)


def _end(ends: Ends, how: RunScript, world: World) -> None:
    live = [run for run in world.live() if run.rule == ends.rule and ends.key in (None, run.key)]
    if not live:
        of_key = f" for {ends.key}" if ends.key else ""
        raise Impossible(f"no run of {ends.rule}{of_key} is active, so none can end")
    world.end(live[0].id, how)


def _judge(rule: str, key: str, promoted: bool, world: World) -> None:
    ended = world.store.read(lambda conn: run_statements.last_ended(conn, rule, key))
    if ended is None:
        raise Impossible(f"no run of {rule} has ended, so none can be judged")
    _by_hand(lambda tx: feedback.judge(tx, ended.id, promoted=promoted))(world)
