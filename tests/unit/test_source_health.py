"""When a source counts as silent, and how that is reported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import structlog

from retrainer.api.source_operations import describe
from retrainer.config.models import WebhookSource
from retrainer.daemon.source_health import SilenceWatch
from retrainer.store import event_statements
from retrainer.store.queries import Heard, silent
from retrainer.store.sqlite import SqliteStore
from tests.unit.test_collectors import Clock, Looking

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOUR = 3600.0
SILENT: list[Any] = [
    pytest.param(None, Heard(0, None), 9 * HOUR, None, id="nothing is expected of it"),
    pytest.param(HOUR, None, 9 * HOUR, False, id="not known yet"),
    pytest.param(HOUR, Heard(0, None), HOUR, False, id="just configured: its time is not over"),
    pytest.param(HOUR, Heard(0, None), HOUR + 1, True, id="configured long ago, and never heard of"),
    pytest.param(HOUR, Heard(0, 5 * HOUR), 6 * HOUR, False, id="heard of in time"),
    pytest.param(HOUR, Heard(0, 5 * HOUR), 6 * HOUR + 1, True, id="heard of too long ago"),
]


@pytest.mark.parametrize(("every", "heard", "now", "expected"), SILENT)
def test_silent(every: float | None, heard: Heard | None, now: float, expected: bool | None) -> None:
    assert silent(every, heard, now) is expected


def source(**more: Any) -> WebhookSource:
    return WebhookSource.model_validate({"type": "webhook", "path": "/hooks/push", **more})


def test_what_is_told_of_a_source() -> None:
    looking = Looking("push", "no answer", 3, 12, {"t/1": "gone", "t/0": "recreated"})
    told = describe("push", source(max_silence="1h"), looking, Heard(5, 10), 10 + HOUR)
    assert told == {
        "name": "push",
        "type": "webhook",
        "up": False,
        "last_error": "no answer",
        "poll_errors": 3,
        "lag": 12,
        "halted": [{"partition": "t/0", "reason": "recreated"}, {"partition": "t/1", "reason": "gone"}],
        "max_silence": HOUR,
        "silent": False,
        "first_seen_at": 5,
        "last_event_at": 10,
    }


def test_what_is_told_of_one_that_the_web_server_serves() -> None:
    told = describe("push", source(), None, None, 0)
    assert (told["up"], told["halted"]) == (True, [])
    assert {told[name] for name in ("last_error", "poll_errors", "lag", "silent", "first_seen_at")} == {None}


class Listening:
    """A source health monitor on a real store."""

    def __init__(self, store: SqliteStore) -> None:
        self.store, self.clock = store, Clock()
        self.sources: dict[str, Any] = {"push": source(max_silence="1h"), "free": source()}
        self.watch = SilenceWatch(store, self.clock, lambda: self.sources)
        with store.write() as conn:
            event_statements.meet_sources(conn, self.sources, 0.0)

    def hear(self) -> None:
        with self.store.write() as conn:
            event_statements.source_seen(conn, "push", self.clock.at)

    def looks(self, *hours: float) -> list[tuple[str, str]]:
        with structlog.testing.capture_logs() as lines:
            for at in hours:
                self.clock.at = at * HOUR
                self.watch.look()
        return [(line["event"], line.get("last_event_at", "")) for line in lines]


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Listening]:
    store = SqliteStore.open(tmp_path / "s.db")
    yield Listening(store)
    store.close()


def test_silence_is_said_once_and_its_end_once(listening: Listening) -> None:
    assert listening.looks(0.5, 1) == []
    assert listening.looks(1.5, 2, 3) == [("source.silent", "never")]
    listening.hear()
    assert listening.looks(3.2, 3.5) == [("source.speaks_again", "")]
    assert listening.looks(4.5, 5) == [("source.silent", "1970-01-01T03:00:00.000Z")]


def test_a_source_that_is_taken_away_does_not_speak_again(listening: Listening) -> None:
    assert listening.looks(2) == [("source.silent", "never")]
    listening.sources.pop("push")
    assert listening.looks(3) == []


def test_after_a_restart_it_is_said_again(listening: Listening) -> None:
    listening.looks(2)
    listening.watch = SilenceWatch(listening.store, listening.clock, lambda: listening.sources)
    assert listening.looks(3) == [("source.silent", "never")]
