"""A history played to rules, in as many processes as there are independent rules and processors for them."""

from __future__ import annotations

import math
import multiprocessing
import queue
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrainer import heap
from retrainer.config.load import load_files, load_texts
from retrainer.config.models import PrometheusSource
from retrainer.engine.catalog import build_catalog
from retrainer.simulate.history import open_history
from retrainer.simulate.lookup import Memory
from retrainer.simulate.outcome import Noted, Outcome, PlayedRun, joined, read
from retrainer.simulate.player import Player
from retrainer.simulate.ranges import missing
from retrainer.simulate.split import shares

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from retrainer.config.configuration import Configuration
    from retrainer.config.errors import Problem
    from retrainer.simulate.history import History
    from retrainer.simulate.ranges import Range, Wanted

_Told = tuple[tuple[PlayedRun, ...], list[tuple[Any, ...]]]
"""Runs, and decisions as plain tuples: between processes these travel at a tenth of the cost."""
FEW = 4
"""Of fewer rules none is worth a process of its own."""
_LOOK = 0.2


@dataclass(frozen=True, slots=True)
class Task:
    """``rules`` are paths; none for those that the history says were in force. Times are in seconds, of the epoch.

    ``prometheus`` is the URL to ask for metrics that history does not have, from ``since`` on if it begins later; empty
    for the one that each source has, None for nobody.
    """

    history: str
    rules: tuple[str, ...]
    run_duration: float
    until: float
    prometheus: str | None = None
    since: float | None = None


def configuration_of(task: Task) -> tuple[Configuration, tuple[Problem, ...]]:
    """The rules of a task; raise BadHistory if its history cannot be read."""
    if task.rules:
        return load_files(task.rules)
    return load_texts(open_history(task.history).files)


def simulate(
    task: Task, configuration: Configuration, processes: int, progress: Callable[[float], None] = lambda _: None
) -> Outcome:
    """Play the history to valid rules; ``progress`` hears of moments that all of them have reached."""
    parts = shares(configuration, processes) if len(configuration.rules) >= FEW else []
    if len(parts) < 2:
        return _play(task, configuration, progress)
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(len(parts), mp_context=context) as pool, heap.undisturbed():
        heard: Any = manager.Queue()
        running = [pool.submit(_play_share, task, share, number, heard) for number, share in enumerate(parts)]
        reached = dict.fromkeys(range(len(parts)), 0.0)
        while not all(future.done() for future in running):
            try:
                number, at = heard.get(timeout=_LOOK)
            except queue.Empty:
                continue
            reached[number] = at
            progress(min(reached.values()))
        told = [future.result() for future in running]
        return joined(Outcome(runs, tuple(map(Noted._make, said))) for runs, said in told)


def _play_share(task: Task, share: frozenset[str], number: int, heard: Any) -> _Told:
    configuration, _ = configuration_of(task)
    mine = replace(configuration, rules=tuple(rule for rule in configuration.rules if rule.name in share))
    last = 0.0

    def progress(at: float) -> None:
        nonlocal last
        if at - last > 3600:
            last = at
            heard.put((number, at))

    outcome = _play(task, mine, progress)
    with heap.undisturbed():
        return outcome.runs, list(map(tuple, outcome.decisions))


def _play(task: Task, configuration: Configuration, progress: Callable[[float], None]) -> Outcome:
    history = open_history(task.history)
    player = Player(
        configuration,
        history,
        run_duration=task.run_duration,
        ranges=_ranges(task, configuration, history),
        progress=progress,
    )
    heap.settle()
    try:
        player.play(task.until)
        return read(player.world.store)
    finally:
        player.world.close()


def _ranges(task: Task, configuration: Configuration, history: History) -> list[Range]:
    """Metrics that history does not have, if there is somebody to ask."""
    catalog = build_catalog(configuration, frozenset())
    begin, end = history.span or (math.inf, -math.inf)
    begin = min(begin, math.inf if task.since is None else task.since)
    end = end if task.until == math.inf else task.until
    if begin > end:
        return []
    if task.prometheus is None:
        return []
    return list(_looked_up(task.prometheus, configuration, missing(catalog, configuration, history, begin, end)))


def _looked_up(elsewhere: str, configuration: Configuration, found: Iterable[tuple[Range, Wanted]]) -> Iterator[Range]:
    for asked, wanted in found:
        config = configuration.sources[asked.source]
        assert isinstance(config, PrometheusSource)  # noqa: S101 - for the type checker; nothing else is asked
        with closing(Memory(asked.source, config, Path(), elsewhere)) as memory:
            yield memory.fetch(asked, wanted)
