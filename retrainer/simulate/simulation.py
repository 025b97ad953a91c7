"""Simulate rules with a history, in several processes if there are independent rules and processors for them."""

from __future__ import annotations

import math
import multiprocessing
import queue
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from retrainer.config.errors import did_you_mean
from retrainer.config.load import load_files, load_texts
from retrainer.config.models import PrometheusSource
from retrainer.engine.core.catalog import build_catalog
from retrainer.engine.core.containment import Care
from retrainer.simulate.history import BadHistory, open_history
from retrainer.simulate.lookup import RecordedMemory
from retrainer.simulate.outcome import Outcome, PlayedRun, RecordedDecision, joined, read
from retrainer.simulate.player import Player, in_steps
from retrainer.simulate.ranges import missing
from retrainer.util import gc_tuning

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from retrainer.config.configuration import Configuration
    from retrainer.config.errors import Problem
    from retrainer.config.models import Rule
    from retrainer.simulate.history import History, HistoryRecord
    from retrainer.simulate.ranges import Range

_Told = tuple[tuple[PlayedRun, ...], list[tuple[Any, ...]]]
"""Runs, and decisions as plain tuples, which cost a tenth to pass between processes."""
FEW = 4
"""Minimum number of rules for several processes."""
_LOOK = 0.2
_STEPS = 500
"""Number of progress reports."""


class Reached(NamedTuple):
    """Progress of a simulation: the time reached, its share of the whole period, and the number of events."""

    at: float
    share: float
    events: int


Progress = Callable[[Reached], None]


@dataclass(frozen=True, slots=True)
class Task:
    """A simulation. ``rules`` are paths; empty for the rules in the history. Times are epoch seconds.

    ``prometheus`` is the URL to query for metrics that the history does not have; empty for the URL of each source,
    None for no queries. The queries start at ``since`` if the history starts later. ``sources`` are additional sources
    that the history may have events of.
    """

    history: str
    rules: tuple[str, ...]
    run_duration: float
    until: float
    prometheus: str | None = None
    since: float | None = None
    sources: frozenset[str] = frozenset()


def configuration_of(task: Task) -> tuple[Configuration, tuple[Problem, ...]]:
    """Return the rules of a task, and their problems. Raise BadHistory if its history cannot be read."""
    if task.rules:
        return load_files(task.rules)
    return load_texts(open_history(task.history).files)


def period(task: Task, history: History) -> tuple[float, float]:
    """Return start and end of the simulated period. The end is before the start if there is nothing to play."""
    first, last = history.span or (math.inf, -math.inf)
    begin = min(first, math.inf if task.since is None else task.since)
    return begin, last if task.until == math.inf else task.until


def looked_up(task: Task, configuration: Configuration, history: History) -> Iterator[Range]:
    """Yield the metrics that the history does not have, from Prometheus if the task has one. Raise BadHistory."""
    begin, end = period(task, history)
    if task.prometheus is None or begin > end:
        return
    for asked, wanted in missing(build_catalog(configuration, frozenset()), configuration, history, begin, end):
        config = configuration.sources[asked.source]
        assert isinstance(config, PrometheusSource)  # noqa: S101 - for the type checker; only these are queried
        with closing(RecordedMemory(asked.source, config, Path(), task.prometheus)) as memory:
            yield memory.fetch(asked, wanted)


def simulate(task: Task, configuration: Configuration, processes: int, progress: Progress = lambda _: None) -> Outcome:
    """Play the history with valid rules. ``progress`` is called with the progress of the slowest process."""
    parts = shares(configuration, processes) if len(configuration.rules) >= FEW else []
    if len(parts) < 2:
        return _play(task, configuration, progress)
    context = multiprocessing.get_context("spawn")
    with (
        context.Manager() as manager,
        ProcessPoolExecutor(len(parts), mp_context=context) as pool,
        gc_tuning.undisturbed(),
    ):
        seen_at: Any = manager.Queue()
        running = [pool.submit(_play_share, task, share, number, seen_at) for number, share in enumerate(parts)]
        reached: dict[int, Reached] = {}
        while not all(future.done() for future in running):
            try:
                number, told = seen_at.get(timeout=_LOOK)
            except queue.Empty:
                continue
            reached[number] = told
            if len(reached) == len(parts):
                progress(min(reached.values(), key=lambda one: one.share))
        results = [future.result() for future in running]
        return joined(Outcome(runs, tuple(map(RecordedDecision._make, said))) for runs, said in results)


def _play_share(task: Task, share: frozenset[str], number: int, seen_at: Any) -> _Told:
    configuration, _ = configuration_of(task)
    mine = replace(configuration, rules=tuple(rule for rule in configuration.rules if rule.name in share))
    outcome = _play(task, mine, lambda reached: seen_at.put((number, reached)))
    with gc_tuning.undisturbed():
        return outcome.runs, list(map(tuple, outcome.decisions))


def _play(task: Task, configuration: Configuration, progress: Progress) -> Outcome:
    """Play without containment; if a rule raises, play again with containment as in a daemon, which is much slower.

    A player consumes its history while it folds, so that it cannot repeat a single transaction.
    """
    ranges = list(looked_up(task, configuration, open_history(task.history)))
    try:
        return _played(task, configuration, ranges, progress, Care.NEVER)
    except BadHistory:
        raise
    except Exception:  # noqa: BLE001 - errors that are not a rule's are raised again
        return _played(task, configuration, ranges, progress, Care.ALWAYS)


def _played(
    task: Task, configuration: Configuration, ranges: Sequence[Range], progress: Progress, care: Care
) -> Outcome:
    known = frozenset(configuration.sources) | task.sources
    history = _without_strangers(task.history, open_history(task.history), known)
    player = Player(
        configuration,
        history,
        run_duration=task.run_duration,
        ranges=ranges,
        progress=in_steps(_STEPS, *period(task, history), lambda *reached: progress(Reached(*reached))),
        care=care,
    )
    gc_tuning.settle()
    try:
        player.play(task.until)
        return read(player.world.store)
    finally:
        player.world.close()


def shares(configuration: Configuration, count: int) -> list[frozenset[str]]:
    """Return rule names in at most ``count`` shares of about equal size. Rules that depend on each other share one."""
    found: list[set[str]] = [set() for _ in range(count)]
    for group in sorted(_groups(configuration), key=len, reverse=True):
        min(found, key=len).update(group)
    return [frozenset(share) for share in found if share]


def _groups(configuration: Configuration) -> list[set[str]]:
    """Group rules that share a pool or a budget, or that follow each other's runs (union-find)."""
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while leader.setdefault(name, name) != name:
            name = leader[name]
        return name

    for rule in configuration.rules:
        for other in _meets(rule):
            leader[find(f"rule/{rule.name}")] = find(other)
    groups: dict[str, set[str]] = {}
    for rule in configuration.rules:
        groups.setdefault(find(f"rule/{rule.name}"), set()).add(rule.name)
    return list(groups.values())


def _meets(rule: Rule) -> Iterator[str]:
    if rule.limits.pool is not None:
        yield f"pool/{rule.limits.pool}"
    if isinstance(rule.limits.budget, str):
        yield f"budget/{rule.limits.budget}"
    for trigger in rule.triggers.values():
        if trigger.after is not None:
            yield f"rule/{trigger.after.rule}"


def _without_strangers(path: str, history: History, known: Collection[str]) -> History:
    """Return the history; its records raise BadHistory for a source that is similar to a ``known`` one (misspelled).

    The history of a store is returned unchanged: its sources were known once.
    """
    if not history.plain:
        return history

    def records() -> Iterator[HistoryRecord]:
        for record in history.records():
            if record.event is not None and record.event.source not in known:
                hint = did_you_mean(record.event.source, known)
                if hint.startswith("did"):
                    what = f"no rule file defines the source `{record.event.source:.100}`"
                    raise BadHistory(f"{path}: event {record.event.id}: {what} ({hint})")
            yield record

    return replace(history, records=records)


def strangers(history: History, known: Collection[str]) -> list[str]:
    """Return the sources of events that no rule file has (any more). These events are ignored."""
    return sorted(history.sources - frozenset(known))
