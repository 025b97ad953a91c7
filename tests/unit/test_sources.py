"""Sources and replays as users see them: over the API and the CLI of a whole daemon."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from retrainer.event import Event
from retrainer.store import statements
from tests.houses.daemon_in_process import DaemonInProcess
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from retrainer.event import Poison

RULES = """
version: 1
sources:
  push: {type: webhook, path: /hooks/push, max_silence: 1h}
  topic: {type: webhook, path: /hooks/topic}
  lake: {type: directory, path: ../lake}
  idle: {type: webhook, path: /hooks/idle}
rules:
  - name: first
    triggers: {d: {data: {source: topic, batch: {at_least: {events: 999}}}}}
    submit: {workflow_template: t}
  - name: second
    triggers: {d: {data: {source: topic, batch: {at_least: {events: 999}}}}}
    submit: {workflow_template: t}
  - name: other
    triggers: {d: {data: {source: lake}}}
    submit: {workflow_template: t}
"""
REPLAY = "/api/v1/sources/topic/replay"


class Topic:
    """A source with positions that can be replayed, from records in memory."""

    name = "topic"

    def __init__(self) -> None:
        self.last_error: str | None = None
        self.poll_errors = 0
        self.lag: int | None = 7
        self.halted: Mapping[str, str] = {}
        self.kept: list[list[Event | Poison]] = []
        self.asked: tuple[float, float] | None = None
        self.trouble: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def resolve(self, part: str, to: str | int) -> tuple[str, int]:
        if self.trouble is not None:
            raise self.trouble
        if part != "orders/0":
            raise LookupError(f"there is no part {part}")
        if isinstance(to, int) and to > 100:
            raise ValueError(f"offset {to} is not in {part}: it has 0 to 100")
        return "topic_id", {"earliest": 0, "latest": 100}.get(str(to), to)  # type: ignore[return-value]

    def reread(self, since: float, until: float, stop: threading.Event) -> Iterator[list[Event | Poison]]:
        self.asked = (since, until)
        if self.trouble is not None:
            raise self.trouble
        for items in self.kept:
            yield items
            while not self.gate.wait(0.01) and not stop.is_set():
                pass
            if stop.is_set():
                return


def events(*numbers: int) -> list[Event | Poison]:
    return [Event("topic", f"e{n}", "t", 1_700_000_000.0 + n, {}) for n in numbers]


class Lake(DaemonInProcess):
    """A daemon with one fake source."""

    def __init__(self, folder: Path) -> None:
        (folder / "lake").mkdir()
        super().__init__(folder, RULES)
        self.topic = Topic()
        self.app.ingestion.running._running["topic"] = (self.app.ingestion.configured["topic"], self.topic)

    def counted(self) -> dict[str, int]:
        """Pending events of each rule of the topic."""
        read = self.app.store.read
        states = {rule: read(lambda conn, r=rule: statements.state_of(conn, r, "")) for rule in ("first", "second")}
        return {rule: state.window.events if state else 0 for rule, state in states.items()}


@pytest.fixture(autouse=True)
def logged() -> Iterator[None]:
    """Keep the daemon's log out of the output of the commands."""
    with structlog.testing.capture_logs():
        yield


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lake]:
    for name in ("RETRAINER_URL", "RETRAINER_TOKEN", "RETRAINER_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("retrainer.cli.replay.POLL", 0.01)
    made = Lake(tmp_path)
    yield made
    made.close()


# -- list, show, reset -----------------------------------------------------------------------------------------------


def test_how_each_source_does(house: Lake) -> None:
    house.app.engine.claim("topic", "orders/0", "topic_id", 41)
    house.topic.halted = {"orders/1": "the topic was recreated"}
    house.http.post("/hooks/push", json={})
    lines = {line["name"]: line for line in json.loads(house.ask("sources", "list", "-o", "json").stdout)["items"]}
    assert list(lines) == ["idle", "lake", "push", "topic"]
    assert [lines[name]["silent"] for name in lines] == [None, None, False, None]
    assert lines["push"]["last_event_at"] is not None
    assert (lines["topic"]["lag"], lines["topic"]["halted"]) == (
        7,
        [{"partition": "orders/1", "reason": "the topic was recreated"}],
    )
    rows = [line.split() for line in house.ask("sources", "list").stdout.splitlines()]
    assert [row[:3] for row in rows[1:]] == [
        ["idle", "webhook", "up"],
        ["lake", "directory", "up"],
        ["push", "webhook", "up"],
        ["topic", "webhook", "halted"],
    ]
    shown = house.ask("sources", "show", "topic").stdout
    assert all(words in shown for words in ("orders/0", "41", "orders/1 is halted: the topic was recreated"))
    told = json.loads(house.ask("sources", "show", "topic", "-o", "json").stdout)
    assert told["positions"] == [{"partition": "orders/0", "next": 41, "topic_id": "topic_id"}]


def test_a_source_that_cannot_look_is_down_and_says_why(house: Lake) -> None:
    house.topic.last_error = "no broker answers"
    assert house.ask("sources", "list").stdout.splitlines()[-1].split()[:3] == ["topic", "webhook", "down"]
    assert "no broker answers" in house.ask("sources", "show", "topic").stdout


@pytest.mark.parametrize(("to", "following"), [("earliest", 0), ("latest", 100), ("42", 42)])
def test_a_part_is_read_on_from_where_somebody_says(house: Lake, to: str, following: int) -> None:
    holder = house.app.engine.claim("topic", "orders/0", "before", 7)
    reset = ("sources", "reset", "topic", "--partition", "orders/0", "--to", to)
    house.ask(*reset, stdin="n\n", code=1)
    assert house.app.engine.parts("topic") == {"orders/0": 7}
    assert f"orders/0 of topic continues at {following} " in house.ask(*reset, stdin="y\n").stdout
    told = json.loads(house.ask(*reset, "--yes", "-o", "json").stdout)
    place = {"source": "topic", "partition": "orders/0", "next": following, "topic_id": "topic_id"}
    again = {"before": following, "skipped": 0, "read_again": 0}
    assert told == {**place, **again, "detail": f"continues at {following}, as without a reset"}
    claimed = house.app.engine.claim("topic", "orders/0", "topic_id")
    assert (claimed.next, claimed.epoch > holder.epoch) == (following, True)


@pytest.mark.parametrize(
    ("topic_id", "to", "skipped", "read_again", "words"),
    [
        pytest.param("topic_id", "latest", 59, 0, "100 instead of 41: up to 59 records are skipped", id="forwards"),
        pytest.param("topic_id", "earliest", 0, 41, "up to 41 records are read again", id="back"),
        pytest.param("topic_id", 41, 0, 0, "as without a reset", id="nowhere else"),
        pytest.param("another", "latest", None, None, "it is not known what is skipped", id="another topic"),
    ],
)
def test_a_dry_run_of_a_reset_says_what_is_skipped_and_moves_nothing(
    house: Lake, topic_id: str, to: str | int, skipped: int | None, read_again: int | None, words: str
) -> None:
    house.app.engine.claim("topic", "orders/0", topic_id, 41)
    body = {"partition": "orders/0", "to": to, "dry_run": True}
    answer = house.http.post("/api/v1/sources/topic/reset", json=body).json()
    assert (answer["before"], answer["skipped"], answer["read_again"]) == (41, skipped, read_again)
    assert words in answer["detail"]
    reset = ("sources", "reset", "topic", "--partition", "orders/0", "--to", str(to), "--dry-run")
    assert "would be: orders/0 of topic continues" in house.ask(*reset).stdout
    assert house.app.engine.parts("topic") == {"orders/0": 41}
    found: list[dict[str, Any]] = until(
        lambda: house.http.get("/api/v1/activity?act=reset_source&result=done").json()["items"], "it is recorded"
    )
    assert (found[0]["dry_run"], found[0]["target"]) == (True, "topic")
    assert house.http.get("/api/v1/activity?act=pause").json()["items"] == []


def test_a_source_says_what_may_be_done_with_it(house: Lake) -> None:
    shown = {name: house.http.get(f"/api/v1/sources/{name}").json() for name in ("topic", "push")}
    assert (shown["topic"]["resettable"], shown["topic"]["not_replayable"], shown["topic"]["replay"]) == (
        True,
        "",
        None,
    )
    assert (shown["push"]["resettable"], bool(shown["push"]["not_replayable"])) == (False, True)


REFUSED: list[Any] = [
    pytest.param("sources show nope", 1, "there is no source 'nope'", id="show: no such source"),
    pytest.param(
        "sources reset nope --partition p --to latest --yes", 1, "there is no source 'nope'", id="no source to reset"
    ),
    pytest.param(
        "sources reset lake --partition p --to latest --yes", 1, "a directory: it has no pos", id="no positions"
    ),
    pytest.param("sources reset topic --partition p/1 --to latest --yes", 1, "no part p/1", id="no such part"),
    pytest.param("sources reset topic --partition orders/0 --to 101 --yes", 1, "it has 0 to 100", id="no such offset"),
    pytest.param("sources reset topic --partition orders/0 --to soon --yes", 2, "not earliest, latest", id="no place"),
    pytest.param("sources reset topic --partition orders/0 --to -1 --yes", 2, "-1", id="a negative offset"),
    pytest.param("sources reset topic --to latest", 2, "--partition", id="no part said"),
    pytest.param("replay nope --from 1d", 1, "there is no source 'nope'", id="replay: no such source"),
    pytest.param("replay topic", 2, "--from", id="replay: from when"),
    pytest.param("replay idle --from 1d", 1, "have the sender send them again", id="a webhook keeps nothing"),
    pytest.param("replay lake --from 1d", 1, "write the files again", id="a directory tells of each file once"),
    pytest.param("replay topic --from soon", 1, "'soon' is not a time", id="no moment"),
    pytest.param("replay topic --from 2026-01-01T00:00:00", 1, "with a zone", id="a moment without its zone"),
    pytest.param("replay topic --from 1h --to 2h", 1, "give an earlier `from`", id="nothing lies between"),
    pytest.param("replay topic --from 1h --rule x", 1, "there is no rule 'x'", id="no such rule"),
    pytest.param("replay topic --from 1h --rule other", 1, "other has no data trigger on", id="another source's rule"),
]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    made = Lake(tmp_path_factory.mktemp("shared"))
    yield made
    made.close()


@pytest.mark.parametrize(("command", "code", "words"), REFUSED)
def test_what_makes_no_sense_is_refused_with_the_way_out(
    shared: DaemonInProcess, command: str, code: int, words: str
) -> None:
    result = shared.ask(*command.split(), code=code)
    assert words in " ".join(result.stderr.split())
    assert result.stdout == ""
    if code == 1:
        problem = json.loads(shared.ask(*command.split(), "-o", "json", code=1).stderr)
        assert words in problem["detail"]
        assert problem["status"] in (404, 409, 422)


def test_a_source_that_does_not_answer_is_not_reset(house: Lake) -> None:
    house.topic.trouble = OSError("connection refused")
    told = house.ask("sources", "reset", "topic", "--partition", "orders/0", "--to", "latest", "--yes", code=1).stderr
    assert "source topic cannot be queried now: connection refused" in told


# -- replay ----------------------------------------------------------------------------------------------------------


def test_it_is_read_again_and_counted_once(house: Lake) -> None:
    house.topic.kept = [events(*range(600)), events(*range(600, 700))]
    dry = json.loads(house.ask("replay", "topic", "--from", "7d", "--dry-run", "-o", "json").stdout)
    assert (dry["state"], dry["dry_run"], dry["read"], dry["outcomes"]["matched"]) == ("done", True, 700, 700)
    assert house.counted() == {"first": 0, "second": 0}
    one = house.ask("replay", "topic", "--from", "7d", "--rule", "first").stdout
    assert "700 read again" in one
    assert "done" in one.splitlines()[0]
    assert house.counted() == {"first": 700, "second": 0}
    told = json.loads(house.ask("replay", "topic", "--from", "7d", "-o", "json").stdout)
    assert (told["rules"], told["outcomes"]["matched"]) == (["first", "second"], 700)
    assert house.counted() == {"first": 700, "second": 700}
    last = json.loads(house.ask("replay", "topic", "--from", "7d", "-o", "json").stdout)
    assert {word: n for word, n in last["outcomes"].items() if n} == {"duplicate": 700}
    assert house.counted() == {"first": 700, "second": 700}


def test_a_replay_that_cannot_read_says_why_and_ends_with_1(house: Lake) -> None:
    house.topic.trouble = OSError("no broker answers")
    printed = house.ask("replay", "topic", "--from", "7d", code=1).stdout
    assert "failed: no broker answers" in printed
    told = json.loads(house.ask("replay", "topic", "--from", "7d", "-o", "json", code=1).stdout)
    assert (told["state"], told["error"], told["read"]) == ("failed", "no broker answers", 0)


def test_one_replay_of_a_source_at_a_time_and_it_can_be_cancelled(house: Lake) -> None:
    house.topic.kept = [events(1, 2), events(3)]
    house.topic.gate.clear()
    assert house.http.get(REPLAY).status_code == 404
    assert house.http.delete(REPLAY).status_code == 404
    assert house.http.post(REPLAY, json={"from": "7d"}).status_code == 202
    until(lambda: house.http.get(REPLAY).json()["read"] == 2, "two are read")
    refused = house.http.post(REPLAY, json={"from": "7d"})
    assert (refused.status_code, "a replay of topic is in progress" in refused.json()["detail"]) == (409, True)
    assert house.http.delete(REPLAY).status_code == 200
    told = until(lambda: (now := house.http.get(REPLAY).json())["state"] != "running" and now, "it has ended")
    assert (told["state"], told["outcomes"]["matched"], told["ended_at"] is not None) == ("cancelled", 2, True)
    assert house.counted() == {"first": 2, "second": 2}  # accepted events stay counted
    house.topic.gate.set()
    rest = json.loads(house.ask("replay", "topic", "--from", "7d", "-o", "json").stdout)["outcomes"]
    assert (rest["matched"], rest["duplicate"]) == (1, 2)


def test_the_daemon_ends_with_a_replay_under_way(house: Lake) -> None:
    house.topic.kept = [events(1), events(2)]
    house.topic.gate.clear()
    house.http.post(REPLAY, json={"from": "7d"})
    until(lambda: house.http.get(REPLAY).json()["read"] == 1, "one is read")
    house.app.ingestion.replays.stop()
    assert house.app.ingestion.replays.progress("topic")["state"] == "cancelled"


@pytest.mark.parametrize("output", ["text", "json"])
def test_ctrl_c_cancels_it_and_says_what_was_taken(house: Lake, output: str) -> None:
    house.topic.kept = [events(1, 2), events(3)]
    house.topic.gate.clear()
    code = "from retrainer.cli.main import main; main()"
    command = [sys.executable, "-c", code, "--url", house.app.web.url, "-o", output, "replay", "topic", "--from", "7d"]
    env = {**os.environ, "NO_COLOR": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as process:
        until(lambda: house.http.get(REPLAY).json().get("read") == 2, "two are read")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (1, "")
    assert "cancelled" in out
    if output == "json":
        assert json.loads(out)["outcomes"]["matched"] == 2
