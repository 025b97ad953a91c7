"""Simulation of one rule: the engine decides, each run trains, and the model in use classifies the stream."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from retrainer.config.load import load_files
from retrainer.engine.core.notifications import RunEnded
from retrainer.event import Event
from retrainer.simulate.casefile import absolute
from retrainer.simulate.outcome import read
from retrainer.simulate.run_script import GPU, RunBehaviour, RunScript
from retrainer.simulate.world import World
from study.learner import held_out, train
from study.stream import BEFORE, HOUR, joined

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from retrainer.engine.core.notifications import Notification
    from retrainer.runs.run import Run
    from study.learner import Model
    from study.stream import Batch

NEVER = "never"
RULES = Path(__file__).parent / "rules"
TRAINING = 2700.0
"""Seconds of a run, on one GPU."""
_LOOKED_AT = 3
"""Hours whose images are measured together."""


@dataclass(frozen=True, slots=True)
class Retrain:
    """``hour`` is when the run was decided, counted from the start. ``reason`` is the reason of `explain`."""

    hour: float
    reason: str
    promoted: bool


@dataclass(frozen=True, slots=True)
class Played:
    """The result of a rule: accuracy hour by hour, from 0 to 1; its retrains; and their cost."""

    rule: str
    accuracy: tuple[float, ...]
    retrains: tuple[Retrain, ...]
    gpu_hours: float


def play(rule: str, stream: Sequence[Batch]) -> Played:
    """Simulate the rule in the file of that name. `never` has no file."""
    before, after = stream[:BEFORE], stream[BEFORE:]
    shop = _Shop(before)
    if rule == NEVER:
        return Played(rule, tuple(shop.serve(batch) for batch in after), (), 0.0)
    configuration, problems = load_files([str(RULES / f"{rule}.yaml")])
    if problems:
        raise ValueError("\n".join(map(str, problems)))
    world = World(configuration, after[0].at, RunBehaviour(shop.run), listener=shop)
    try:
        accuracy = tuple(_hour(batch, shop, world, configuration.sources) for batch in after)
        world.advance(after[-1].at + HOUR)
        runs = read(world.store).runs
    finally:
        world.close()
    retrains = tuple(Retrain((run.at - after[0].at) / HOUR, run.reason, run.at in shop.promoted) for run in runs)
    return Played(rule, accuracy, retrains, sum(run.gpu_hours or 0.0 for run in runs))


def _hour(batch: Batch, shop: _Shop, world: World, sources: Collection[str]) -> float:
    """Classify an hour's batch, and push the measurements to the engine as a job would; return the accuracy."""
    world.advance(batch.at)
    accuracy = shop.serve(batch)
    if "labels" in sources:
        rows = {"rows": len(batch.labelled)}
        world.deliver("labels", [Event("labels", str(batch.hour), "json", batch.at, rows)])
    for metric, value in shop.measured().items() if "drift" in sources else ():
        data = {"metric": metric, "value": value, "labels": {}}
        world.deliver("drift", [Event("drift", f"{metric} {batch.hour}", "json", batch.at, data)])
    return accuracy


class _Shop:
    """Keeps the model in use and all labels, and trains for each run. A listener of the engine's events."""

    def __init__(self, before: Sequence[Batch]) -> None:
        self._batches = list(before)
        self._in_use: Model = train(joined([batch.labelled for batch in before]))
        self._trained: dict[str, Model] = {}
        self.promoted: set[float] = set()
        """Creation times of the runs whose models were promoted."""

    def serve(self, batch: Batch) -> float:
        """Classify the images of an hour; return the accuracy. Then add the labels of the hour."""
        self._batches.append(batch)
        return self._in_use.accuracy(batch.served)

    def measured(self) -> dict[str, float]:
        """The measurements of the model in use. The distance needs no labels."""
        newest = self._batches[-_LOOKED_AT:]
        return {
            "ks": self._in_use.distance(joined([batch.served for batch in newest])),
            "accuracy": self._in_use.accuracy(joined([batch.labelled for batch in newest])),
        }

    def run(self, run: Run) -> RunScript:
        """Train on the newest labels of the run's window, and compare with the model in use."""
        until, rows = absolute(run.parameters["until"]), int(run.parameters["newest_rows"])
        newest = joined([batch.labelled for batch in self._batches if batch.at <= until]).last(rows)
        model, judges = train(newest), held_out(newest)
        self._trained[run.id] = model
        better = model.accuracy(judges) > self._in_use.accuracy(judges)
        return RunScript(TRAINING, outputs={"promoted": str(better).lower()}, resources={GPU: TRAINING})

    def emitted(self, notification: Notification, now: float) -> None:  # noqa: ARG002 - the listener interface
        """When a run has ended and the engine has recorded the promotion of its model, put the model into use."""
        if isinstance(notification, RunEnded) and notification.values.get("promoted"):
            self._in_use = self._trained[notification.run.id]
            self.promoted.add(notification.run.created_at)

    def committed(self, seconds: float, waited: Sequence[float], queued: int) -> None:
        """Required by the listener interface. Does nothing."""
