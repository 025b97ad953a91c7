"""Three hundred models of one template in the whole engine: one query, and staggered first runs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from retrainer.config.load import load_files
from retrainer.engine.core.notifications import RunCreated
from retrainer.engine.intake.samples import QUERY
from retrainer.event import Event
from retrainer.simulate.run_script import RunBehaviour, RunScript
from retrainer.simulate.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retrainer.engine.core.notifications import Notification

EXAMPLE = (Path(__file__).parents[3] / "config/examples/many-models.yaml").read_text()
START = 1_800_000_000.0  # a Friday: no schedule is due for days
MODELS = 300
SLOTS = 4
HOUR = 3600.0


class Fleet:
    """The example's template, used by three hundred rules. Each run takes ten minutes."""

    def __init__(self, folder: Path) -> None:
        head, _, _ = EXAMPLE.partition("\nrules:\n")
        lines = [
            f"  - {{name: m{i}, template: weekly-or-drift, with: {{model: m{i}, day: mon}}}}" for i in range(MODELS)
        ]
        (folder / "rules.yaml").write_text("\n".join([head, "rules:", *lines, ""]))
        configuration, problems = load_files([str(folder / "rules.yaml")])
        assert not problems
        self.born: list[tuple[float, str]] = []
        self.most = 0
        self.world = World(configuration, START, RunBehaviour(lambda _: RunScript(600.0)), listener=self)

    def emitted(self, notification: Notification, now: float) -> None:
        if isinstance(notification, RunCreated):
            self.born.append((now, notification.run.rule))

    def committed(self, seconds: float, waited: Any, queued: int) -> None:
        pass

    def polls(self, value: float, hours: float) -> None:
        """Every gauge has this value, polled every quarter of an hour."""
        until = self.world.now + hours * HOUR
        while self.world.now < until:
            now = self.world.now
            series = [{"labels": {"model": f"m{i}"}, "value": value, "time": now} for i in range(MODELS)]
            data = {"expr": "feature_psi", "sample_time": "", "series": series, "error": ""}
            self.world.deliver("prometheus", [Event("prometheus", f"poll-{now}", QUERY, now, data)])
            self.pass_time(now + 900)

    def pass_time(self, until: float) -> None:
        while (moment := self.world.next_moment()) is not None and moment <= until:
            self.world.happen(moment)
            self.most = max(self.most, len(self.world.live()))
        self.world.advance(until)


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path)
    yield fleet
    fleet.world.close()


def test_three_hundred_rules_ask_one_question(fleet: Fleet) -> None:
    assert len(fleet.world.engine.catalog.polls) == 1


def test_a_first_start_with_every_gauge_high_is_no_stampede(fleet: Fleet) -> None:
    fleet.polls(0.5, hours=7)
    assert Counter(rule for _, rule in fleet.born) == dict.fromkeys((f"m{i}" for i in range(MODELS)), 1)
    halves = Counter(int((at - START) // 1800) for at, _ in fleet.born)
    assert max(halves.values()) <= MODELS / 12 * 2, "six hours have twelve halves"
    assert fleet.most <= SLOTS
    assert [rule for at, rule in fleet.born if at < START + 1800] == [], "`for` holds for the first look as well"
    fleet.polls(0.05, hours=8)
    assert not fleet.world.live()
    assert len(fleet.born) == MODELS, "each model was trained once"
