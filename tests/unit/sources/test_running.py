"""Sources are started and stopped together. A failing source does not affect the others."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from sources_kit import ScriptedIntake

from retrainer.config import models
from retrainer.sources import registry
from retrainer.sources.base import SourceContext
from retrainer.sources.directory import DirectorySource
from retrainer.sources.registry import SourceRequest
from retrainer.sources.running import RunningSources
from retrainer.util.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retrainer.sources.base import Source
    from retrainer.util.clock import Clock


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningSources]:
    made = RunningSources(ScriptedIntake(), SystemClock(), tmp_path)
    yield made
    made.stop()


class Moody(DirectorySource):
    """Does not start while its folder is missing."""

    def start(self) -> None:
        if not (Path(self._config.path) / "lake").is_dir():
            raise OverflowError("timeout is too large")
        super().start()


@pytest.fixture
def wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, SourceRequest]:
    """One source that does not start yet, and one that works."""

    def build(name: str, config: Any, intake: Any, clock: Clock, base_folder: Path, *, sweeps: bool) -> Source:
        assert not sweeps
        kind = Moody if name == "bad" else DirectorySource
        return kind(SourceContext(name, intake, clock, base_folder), config)

    monkeypatch.setattr(registry, "build", build)
    config = models.DirectorySource.model_validate({"type": "directory", "path": str(tmp_path)})
    return {name: SourceRequest(config, sweeps=False) for name in ("bad", "good")}


def test_one_that_cannot_start_is_down_and_says_why_and_the_others_run(
    running: RunningSources, wanted: dict[str, SourceRequest]
) -> None:
    running.switch(wanted)
    assert running.by_name["good"].last_error is None
    assert running.by_name["bad"].last_error == "it cannot be started: timeout is too large"


def test_it_is_tried_again_until_it_can_and_said_once(
    running: RunningSources, wanted: dict[str, SourceRequest], tmp_path: Path
) -> None:
    with structlog.testing.capture_logs() as logged:
        running.switch(wanted)
        running.mend()
        running.mend()
    assert [line["event"] for line in logged if line["log_level"] == "error"] == ["source.not_started"]
    good = running.by_name["good"]
    (tmp_path / "lake").mkdir()
    running.mend()
    assert running.by_name["bad"].last_error is None
    assert running.by_name["good"] is good


def test_what_is_not_wanted_any_more_ends_also_if_it_never_began(
    running: RunningSources, wanted: dict[str, SourceRequest]
) -> None:
    running.switch(wanted)
    running.switch({"good": wanted["good"]})
    assert list(running.by_name) == ["good"]


class Slow:
    """Stops only after all other sources were asked to stop."""

    name = "slow"

    def __init__(self, together: threading.Barrier) -> None:
        self.ended = False
        self._together = together

    def stop(self) -> None:
        self._together.wait(10)
        self.ended = True


def test_all_are_asked_to_end_before_any_is_waited_for(
    running: RunningSources, wanted: dict[str, SourceRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    together = threading.Barrier(2)
    slow = [Slow(together), Slow(together)]
    running._running = {str(n): (wanted["good"], one) for n, one in enumerate(slow)}  # type: ignore[misc]
    running.stop(20)
    assert all(one.ended for one in slow)
    running._running = {}


class Stuck:
    """Stops when the test allows it."""

    name = "stuck"

    def __init__(self) -> None:
        self.go_on = threading.Event()

    def stop(self) -> None:
        self.go_on.wait()


def test_one_that_does_not_end_keeps_nobody(running: RunningSources, wanted: dict[str, SourceRequest]) -> None:
    stuck = Stuck()
    running._running = {"stuck": (wanted["good"], stuck)}  # type: ignore[dict-item]
    running.stop(0.01)
    stuck.go_on.set()
    running._running = {}
