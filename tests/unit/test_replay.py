"""A replay job: times, chunks, back-pressure, and all outcomes."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from retrainer.event import Event, Poison
from retrainer.sources.base import Batch, Overloaded, Receipt, ReplayScope
from retrainer.sources.replay import CHUNK, Busy, Job, Replays, Rereadable, moment_of

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = 1_764_000_000.0  # 2025-11-24T16:00:00Z
RULES = frozenset({"a", "b"})

MOMENTS = [
    pytest.param("2025-11-24T16:00:00Z", NOW, id="RFC 3339 in UTC"),
    pytest.param("2025-11-24T17:00:00+01:00", NOW, id="in another zone"),
    pytest.param("2025-11-24t16:00:00z", NOW, id="in small letters"),
    pytest.param("2025-11-24 16:00:00.5Z", NOW + 0.5, id="with a blank and a fraction"),
    pytest.param("7d", NOW - 7 * 86400, id="days back"),
    pytest.param("90m", NOW - 5400, id="minutes back"),
]


@pytest.mark.parametrize(("text", "moment"), MOMENTS)
def test_a_moment(text: str, moment: float) -> None:
    assert moment_of(text, NOW) == moment


@pytest.mark.parametrize("text", ["", "soon", "7", "-7d", "7d ago", "2025-11-24", "2025-11-24T16:00:00", "1764000000"])
def test_no_moment(text: str) -> None:
    with pytest.raises(ValueError, match="write it as 2026-11-24T08:00:00Z"):
        moment_of(text, NOW)


class Clock:
    def now(self) -> float:
        return NOW

    def monotonic(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return NOW


class Intake:
    """Accepts everything at once, unless it is full or broken."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.full = 0
        self.broken = False

    def offer(self, batch: Batch) -> Future[Receipt]:
        if self.full:
            self.full -= 1
            raise Overloaded(0.001)
        future: Future[Receipt] = Future()
        if self.broken:
            future.set_exception(OSError("disk full"))
            return future
        self.batches.append(batch)
        future.set_result(Receipt(["matched" if isinstance(item, Event) else "ignored" for item in batch.items]))
        return future


class Kept:
    """The items that a source still has."""

    def __init__(self, *pages: list[Event | Poison]) -> None:
        self.pages = pages
        self.entered = threading.Event()
        self.hold = False

    def reread(self, since: float, until: float, stop: threading.Event) -> Iterator[list[Event | Poison]]:
        self.asked = (since, until)
        for page in self.pages:
            yield page
            self.entered.set()
            if self.hold:
                stop.wait()
                return


def events(count: int) -> list[Event | Poison]:
    return [Event("topic", f"e{n}", "t", NOW - 100 + n, {}) for n in range(count)]


@pytest.fixture(autouse=True)
def logged() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as lines:
        yield lines


@pytest.fixture
def intake() -> Intake:
    return Intake()


def run(intake: Any, kept: Rereadable, *, dry: bool = False) -> dict[str, Any]:
    job = Job("topic", ReplayScope(RULES, dry), NOW - 3600, NOW, intake, Clock())
    job.start(kept)
    job.join()
    return job.progress()


def test_it_goes_in_chunks_for_the_chosen_rules(intake: Intake, logged: list[Any]) -> None:
    kept = Kept(events(CHUNK + 1), [], [*events(2), Poison("topic", "p", b"", "no")])
    told = run(intake, kept)
    assert kept.asked == (NOW - 3600, NOW)
    assert [len(batch.items) for batch in intake.batches] == [CHUNK, 1, 3]
    assert {batch.replay_scope for batch in intake.batches} == {ReplayScope(RULES, dry=False)}
    assert (told["state"], told["read"], told["error"], told["ended_at"]) == ("done", CHUNK + 4, "", NOW)
    assert {word: n for word, n in told["outcomes"].items() if n} == {"matched": CHUNK + 3, "ignored": 1}
    assert told["reached"] == NOW - 99
    assert [line["event"] for line in logged] == ["replay.started", "replay.ended"]


def test_a_dry_one_says_so_to_the_engine(intake: Intake) -> None:
    assert run(intake, Kept(events(1)), dry=True)["dry_run"] is True
    assert intake.batches[0].replay_scope == ReplayScope(RULES, dry=True)


def test_what_comes_by_itself_goes_first(intake: Intake) -> None:
    intake.full = 3
    assert run(intake, Kept(events(5)))["outcomes"]["matched"] == 5
    assert (intake.full, len(intake.batches)) == (0, 1)


def test_a_store_that_fails_fails_it(intake: Intake, logged: list[Any]) -> None:
    intake.broken = True
    told = run(intake, Kept(events(5)))
    assert (told["state"], told["error"], told["read"]) == ("failed", "disk full", 0)
    assert {"event": "replay.failed", "source": "topic", "error": "disk full", "log_level": "error"} in logged


def test_it_can_be_cancelled_while_the_queue_is_full(intake: Intake) -> None:
    intake.full = 1_000_000
    replays = Replays(intake, Clock())
    replays.start("topic", Kept(events(5)), ReplayScope(RULES), NOW - 1, NOW)
    replays.cancel("topic")
    replays.stop()
    assert replays.progress("topic")["state"] == "cancelled"


def test_one_at_a_time_for_each_source(intake: Intake) -> None:
    kept = Kept(events(1), events(1))
    kept.hold = True
    replays = Replays(intake, Clock())
    replays.start("topic", kept, ReplayScope(RULES), NOW - 1, NOW)
    assert kept.entered.wait(30)
    with pytest.raises(Busy, match="a replay of topic is in progress"):
        replays.start("topic", kept, ReplayScope(RULES), NOW - 1, NOW)
    replays.start("bucket", Kept(), ReplayScope(RULES), NOW - 1, NOW)
    replays.stop()
    told = {name: replays.progress(name) for name in ("topic", "bucket")}
    assert (told["topic"]["state"], told["topic"]["read"]) == ("cancelled", 1)
    assert told["bucket"]["read"] == 0
    kept.hold = False
    replays.start("topic", kept, ReplayScope(RULES), NOW - 1, NOW)
    replays.stop()


@pytest.mark.parametrize("ask", ["progress", "cancel"])
def test_one_that_never_was(intake: Intake, ask: str) -> None:
    with pytest.raises(LookupError, match="no replay of topic since the daemon started"):
        getattr(Replays(intake, Clock()), ask)("topic")
