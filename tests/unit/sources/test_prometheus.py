"""The Prometheus source over real sockets: queries, answers, and missing answers."""

from __future__ import annotations

import hashlib
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from prometheus_kit import FakePrometheus, cut, huge, vector
from sources_kit import ScriptedIntake
from structlog.testing import capture_logs

from retrainer.config import models
from retrainer.event import Event
from retrainer.sources import registry
from retrainer.sources.base import Query
from retrainer.sources.prometheus.source import PrometheusSource, phase
from retrainer.util.clock import SystemClock
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def prometheus() -> Iterator[FakePrometheus]:
    server = FakePrometheus()
    server.start()
    yield server
    server.stop()


@pytest.fixture
def intake() -> ScriptedIntake:
    return ScriptedIntake()


@contextmanager
def polling(
    url: str, intake: ScriptedIntake, folder: Path, *, interval: float = 0.05, timeout: float = 10.0, **settings: Any
) -> Iterator[PrometheusSource]:
    """Poll more often than rules may request."""
    config = models.PrometheusSource.model_validate({"type": "prometheus", "url": url, **settings})
    config = config.model_copy(update={"polling_interval": interval, "timeout": timeout})
    source = registry.build("metrics", config, intake, SystemClock(), folder)  # type: ignore[arg-type]
    assert isinstance(source, PrometheusSource)
    source.start()
    try:
        yield source
    finally:
        source.stop()


def events(intake: ScriptedIntake, expr: str) -> list[Event]:
    return [item for item in list(intake.items) if isinstance(item, Event) and item.subject == expr]


def latest(intake: ScriptedIntake, expr: str) -> dict[str, Any]:
    until(lambda: events(intake, expr), f"{expr} is answered")
    return dict(events(intake, expr)[-1].data)


def test_an_answer_is_one_event(prometheus: FakePrometheus, intake: ScriptedIntake, tmp_path: Path) -> None:
    age, income = {"__name__": "psi", "feature": "age"}, {"__name__": "psi", "feature": "income"}
    prometheus.answers["psi"] = vector((age, 0.3), (income, float("nan")))
    intake.questions = [Query("psi")]
    before = time.time()
    with polling(prometheus.url, intake, tmp_path):
        until(lambda: intake.items, "an answer")
    event = intake.items[0]
    assert isinstance(event, Event)
    assert (event.source, event.type, event.subject) == ("metrics", "prometheus.query", "psi")
    assert before - 1 <= event.time <= time.time()
    assert event.id == f"{hashlib.sha256(b'psi').hexdigest()[:12]}:{round(event.time * 1000)}"
    assert event.data == {
        "expr": "psi",
        "sample_time": "",
        "series": [
            {"labels": age, "value": 0.3, "time": event.time},
            {"labels": income, "value": None, "time": event.time},
        ],
        "error": "",
    }
    assert orjson.loads(orjson.dumps(event.data)) == event.data
    assert intake.batches[0].identity_window == 0


def test_how_it_is_asked(prometheus: FakePrometheus, intake: ScriptedIntake, tmp_path: Path) -> None:
    intake.questions = [Query('sum by (model) (psi{model=~"a|b"}) > 0')]
    with polling(prometheus.url, intake, tmp_path, timeout=2.5, headers={"X-Scope-OrgID": "team"}):
        until(lambda: prometheus.asked, "a question")
    path, form, headers = prometheus.asked[0]
    assert path == "/prefix/api/v1/query"
    assert form["query"] == 'sum by (model) (psi{model=~"a|b"}) > 0'
    assert abs(float(form["time"]) - time.time()) < 60
    assert form["timeout"] == "2500ms"
    assert headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert headers["X-Scope-OrgID"] == "team"


def test_what_rules_share_is_asked_for_once(prometheus: FakePrometheus, intake: ScriptedIntake, tmp_path: Path) -> None:
    intake.questions = [Query("a", "pushed"), Query("b", "pushed"), Query("b")]
    with polling(prometheus.url, intake, tmp_path) as source:
        until(lambda: source.polls >= 4, "some polls")
    first = prometheus.exprs[:4]
    assert sorted(first) == ["a", "b", "b", "pushed"]
    two = events(intake, "b")[:2]
    assert {event.data["sample_time"] for event in two} == {"", "pushed"}
    assert two[0].id != two[1].id


def test_samples_are_as_old_as_they_are_said_to_be(
    prometheus: FakePrometheus, intake: ScriptedIntake, tmp_path: Path
) -> None:
    prometheus.answers["psi"] = vector(({"job": "nightly", "f": "age"}, 0.3), ({"job": "other"}, 0.1))
    prometheus.answers["push_time_seconds"] = vector(({"job": "nightly"}, 1_700_000_000.5))
    intake.questions = [Query("psi", "push_time_seconds")]
    with polling(prometheus.url, intake, tmp_path):
        until(lambda: intake.items, "an answer")
    event = events(intake, "psi")[0]
    assert [series["time"] for series in event.data["series"]] == [1_700_000_000.5, event.time]


def test_without_sample_times_there_is_no_answer(
    prometheus: FakePrometheus, intake: ScriptedIntake, tmp_path: Path
) -> None:
    prometheus.answers["psi"] = vector(({}, 0.3))
    prometheus.answers["push("] = (400, {"status": "error", "errorType": "bad_data", "error": "parse error"})
    intake.questions = [Query("psi", "push(")]
    with polling(prometheus.url, intake, tmp_path):
        told = latest(intake, "psi")
    assert (told["series"], told["error"]) == ([], "push(: bad_data: parse error")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        pytest.param((400, {"status": "error", "errorType": "bad_data", "error": "no"}), "bad_data: no", id="refused"),
        pytest.param((503, b"starting"), "it answers 503", id="not ready"),
        pytest.param((200, b"<html>"), "not JSON", id="a page"),
        pytest.param(vector(*[({"n": str(n)}, 1.0) for n in range(6)]), "6 series, at most 5", id="too many series"),
        pytest.param("hang", "no answer within 0.2s", id="no answer"),
        pytest.param("drip", "no answer within 0.2s", id="an answer drop by drop"),
        pytest.param(cut, "incomplete answer", id="cut off"),
        pytest.param(huge, "more than 1048576 bytes", id="too large"),
    ],
)
def test_what_fails_is_told_and_counted_until_it_is_well(
    prometheus: FakePrometheus, intake: ScriptedIntake, tmp_path: Path, answer: Any, error: str
) -> None:
    prometheus.answers["psi"] = getattr(prometheus, answer) if isinstance(answer, str) else answer
    prometheus.answers["other"] = vector(({}, 1.0))
    intake.questions = [Query("psi"), Query("other")]
    # A short timeout only where the test waits for it: a busy machine is slow, too.
    limit = 0.2 if isinstance(answer, str) else 10.0
    with polling(prometheus.url, intake, tmp_path, timeout=limit, max_series=5) as source:
        told = latest(intake, "psi")
        assert told["series"] == []
        assert error in told["error"]
        until(lambda: source.last_error is not None and error in source.last_error, "the source says so")
        assert source.poll_errors >= 1
        until(lambda: latest(intake, "other")["error"] == "", "the other has its answer")
        prometheus.answers["psi"] = vector(({}, 0.3))
        until(lambda: source.last_error is None, "it is well")
        until(lambda: latest(intake, "psi")["error"] == "", "and has its answer")


def test_a_prometheus_that_is_down_and_comes_back(intake: ScriptedIntake, tmp_path: Path) -> None:
    server = FakePrometheus()
    port, url = server.server_port, server.url
    server.server_close()
    intake.questions = [Query("a"), Query("b")]
    with polling(url, intake, tmp_path) as source:
        assert "cannot be reached" in latest(intake, "a")["error"]
        assert "cannot be reached" in latest(intake, "b")["error"]
        server = FakePrometheus(port)
        server.answers["a"] = vector(({}, 1.0))
        server.start()
        try:
            until(lambda: source.last_error is None, "it is back")
            assert latest(intake, "a")["series"]
        finally:
            server.stop()


def test_trouble_is_logged_once_while_it_lasts(intake: ScriptedIntake, tmp_path: Path) -> None:
    server = FakePrometheus()
    url = server.url
    server.server_close()
    intake.questions = [Query("a"), Query("b")]
    with capture_logs() as lines, polling(url, intake, tmp_path) as source:
        until(lambda: source.polls >= 6, "some polls")
        assert source.last_error is not None
        assert source.last_error.count("cannot be reached") == 1
        assert source.poll_errors <= source.polls
    assert [line["event"] for line in lines if line["event"] == "prometheus.trouble"] == ["prometheus.trouble"]


def test_slow_ones_come_last(prometheus: FakePrometheus, intake: ScriptedIntake, tmp_path: Path) -> None:
    prometheus.answers["a slow one"] = prometheus.hang
    intake.questions = [Query("a slow one"), Query("b"), Query("c")]
    with polling(prometheus.url, intake, tmp_path, interval=2.5, timeout=2):
        until(lambda: len(prometheus.exprs) >= 6, "two polls")
    assert prometheus.exprs[:6] == ["a slow one", "b", "c", "b", "c", "a slow one"]


def test_a_poll_ends_in_time_and_nobody_is_forgotten(
    prometheus: FakePrometheus, intake: ScriptedIntake, tmp_path: Path
) -> None:
    exprs = ["a", "b", "c", "d"]
    prometheus.answers = dict.fromkeys(exprs, prometheus.hang)
    intake.questions = [Query(expr) for expr in exprs]
    with polling(prometheus.url, intake, tmp_path, timeout=0.1):
        until(lambda: set(prometheus.exprs) == set(exprs), "each is asked for")
        until(lambda: all(len(events(intake, expr)) >= 4 for expr in exprs), "and told of in each poll")
    told = {event.data["error"] for expr in exprs for event in events(intake, expr)}
    assert told == {
        "no answer within 0.1s (timeout)",
        "not queried: the other expressions used all the time of the poll",
    }


def test_when_the_engine_is_behind_a_poll_is_dropped(
    prometheus: FakePrometheus, intake: ScriptedIntake, tmp_path: Path
) -> None:
    intake.questions = [Query("a"), Query("b")]
    intake.overloaded = 1
    with polling(prometheus.url, intake, tmp_path) as source:
        until(lambda: events(intake, "b"), "the next poll is taken")
        until(lambda: source.last_error is None, "it is well")
        assert source.poll_errors == 1
    assert prometheus.exprs[:3] == ["a", "b", "a"], "the rest was left out, and has its turn first"


def test_answers_do_not_pile_up(prometheus: FakePrometheus, intake: ScriptedIntake, tmp_path: Path) -> None:
    intake.questions = [Query("a"), Query("b")]
    intake.hold = True
    with polling(prometheus.url, intake, tmp_path) as source:
        until(lambda: source.polls >= 5, "some polls")
        assert len(intake.held) == 2
        assert prometheus.exprs == ["a", "b"]
        assert source.last_error is not None
        assert "a poll was skipped" in source.last_error
        intake.release()
        until(lambda: len(events(intake, "a")) >= 2, "it goes on")


def test_what_could_not_be_stored_is_counted(
    prometheus: FakePrometheus, intake: ScriptedIntake, tmp_path: Path
) -> None:
    intake.questions = [Query("a")]
    intake.failing = 1
    with polling(prometheus.url, intake, tmp_path) as source:
        until(lambda: source.poll_errors == 1, "it is counted")
        until(lambda: events(intake, "a"), "the next one is stored")


def test_nothing_is_asked_when_nobody_wants_to_know(
    prometheus: FakePrometheus, intake: ScriptedIntake, tmp_path: Path
) -> None:
    with polling(prometheus.url, intake, tmp_path) as source:
        until(lambda: source.polls >= 2, "some polls")
        assert not prometheus.asked
        intake.questions = [Query("a")]  # the rules were reloaded
        until(lambda: prometheus.asked, "it is asked")
        assert source.last_error is None


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param({}, None, id="nothing"),
        pytest.param({"token": {"from_file": "secret"}}, "Bearer s3cr3t", id="a token"),
        pytest.param(
            {"basic": {"username": "me", "password": {"from_file": "secret"}}}, "Basic bWU6czNjcjN0", id="basic"
        ),
    ],
)
def test_how_it_proves_itself(
    prometheus: FakePrometheus, intake: ScriptedIntake, tmp_path: Path, settings: Any, expected: str | None
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cr3t\n")
    for part in (settings.get("token"), settings.get("basic", {}).get("password")):
        if part is not None:
            part["from_file"] = str(secret)
    intake.questions = [Query("a")]
    with polling(prometheus.url, intake, tmp_path, **settings):
        until(lambda: prometheus.asked, "a question")
    assert prometheus.asked[0][2].get("Authorization") == expected


def test_a_secret_is_read_anew_and_never_told(
    prometheus: FakePrometheus, intake: ScriptedIntake, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    intake.questions = [Query("a")]
    prometheus.answers["a"] = (401, b"wrong: s3cr3t")
    with polling(prometheus.url, intake, tmp_path, token={"from_file": str(secret)}) as source:
        assert "cannot be read" in latest(intake, "a")["error"]
        assert not prometheus.asked
        secret.write_text("s3cr3t")
        until(lambda: prometheus.asked, "a question")
        until(lambda: "it answers 401" in str(source.last_error), "it is refused")
        secret.write_text("new one")
        until(lambda: prometheus.asked[-1][2]["Authorization"] == "Bearer new one", "the new secret")
    assert not any("s3cr3t" in str(event.data) for event in events(intake, "a"))


def test_a_certificate_that_cannot_be_read(intake: ScriptedIntake, tmp_path: Path) -> None:
    intake.questions = [Query("a")]
    with polling("https://127.0.0.1:1", intake, tmp_path, tls={"ca_file": "nowhere.pem"}):
        error = latest(intake, "a")["error"]
    assert (
        error
        == f"it cannot be queried: tls.ca_file {tmp_path / 'nowhere.pem'} cannot be read: No such file or directory"
    )


def test_stopping_waits_for_no_answer_and_takes_none_in(
    prometheus: FakePrometheus, intake: ScriptedIntake, tmp_path: Path
) -> None:
    prometheus.answers["a"] = prometheus.hang
    intake.questions = [Query("a")]
    with polling(prometheus.url, intake, tmp_path, timeout=60) as source:
        until(lambda: prometheus.asked, "a question")
        source.stop()
        prometheus.stop()
        until(lambda: not source._thread.is_alive(), "its thread ends")
        assert not intake.batches


def test_warnings_are_told_once(prometheus: FakePrometheus, intake: ScriptedIntake, tmp_path: Path) -> None:
    prometheus.answers["a"] = vector(({}, 1.0), warnings=["one store is down"])
    intake.questions = [Query("a")]
    with capture_logs() as lines, polling(prometheus.url, intake, tmp_path) as source:
        until(lambda: source.polls >= 4, "some polls")
    told = [line for line in lines if line["event"] == "prometheus.warned"]
    assert [(line["expr"], line["warning"]) for line in told] == [("a", "one store is down")]
    assert latest(intake, "a")["series"], "the answer counts"


def test_each_source_begins_at_a_moment_of_its_own() -> None:
    phases = [phase(f"source-{n}", 30.0) for n in range(100)]
    assert all(0 <= moment < 30 for moment in phases)
    assert len({int(moment / 3) for moment in phases}) == 10, "they are spread"
    assert phase("source-1", 30.0) == phases[1]
