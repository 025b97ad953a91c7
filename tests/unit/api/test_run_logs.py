"""Logs of runs over HTTP: text of the steps, bounded and without secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from retrainer.api.run_logs import MOST
from retrainer.store import tables as t
from retrainer.telemetry.secrets import SECRETS
from retrainer.workflows.base import Ambiguous, Later, NoOutput, OutputQuery, Refused, StepOutput
from tests.unit.api.ledger import RUN, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from tests.unit.api.daemon import Daemon

LOGS = f"/api/v1/runs/{RUN.format(1)}/logs"


def test_each_line_follows_the_name_of_its_step(client: httpx.Client, daemon: Daemon) -> None:
    answer = client.get(LOGS)
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text == "prepare: 2 rows\ntrain: epoch 1\ntrain: epoch 2\n"
    assert daemon.asked == [("outputs", "ml", "churn-1", OutputQuery(1000))]


def test_tail_and_step_are_passed_on_and_the_run_may_be_named_by_its_workflow(
    client: httpx.Client, daemon: Daemon
) -> None:
    assert client.get(f"/api/v1/runs/churn-{RUN.format(1).lower()}/logs?tail=5&step=train").is_success
    assert daemon.asked == [("outputs", "ml", "churn-1", OutputQuery(5, "train"))]


@pytest.mark.parametrize(
    ("step", "text"),
    [
        pytest.param(StepOutput("a", b"x\ny\n", left_out=True), "a: (earlier output is left out", id="left out"),
        pytest.param(StepOutput("a", b"x\n", note="it waits"), "a: x\na: (it waits)\n", id="note"),
        pytest.param(StepOutput("a", b""), "a: (no output)\n", id="nothing written"),
        pytest.param(StepOutput("a", b"10%\r50%\r100%\r\nend"), "a: 100%\na: end\n", id="a bar of progress"),
        pytest.param(StepOutput("a", b"\xff\n"), "a: \N{REPLACEMENT CHARACTER}\n", id="not text"),
        pytest.param(
            StepOutput("a", b"Authorization: Bearer abcdefghij\n"), "a: Authorization: Bearer ***\n", id="token"
        ),
        pytest.param(StepOutput("a", b"key=tops3cret-value\n"), "a: key=***\n", id="secret"),
        pytest.param(
            StepOutput("a", b"", note="not with tops3cret-value"), "a: (not with ***)\n", id="secret in a note"
        ),
    ],
)
def test_lines_are_shown_so(client: httpx.Client, daemon: Daemon, step: StepOutput, text: str) -> None:
    SECRETS.hide("tops3cret-value")
    daemon.steps = [step]
    assert client.get(LOGS).text.startswith(text)


def test_an_answer_that_would_be_too_long_says_where_it_was_cut(client: httpx.Client, daemon: Daemon) -> None:
    daemon.steps = [StepOutput("a", b"x" * (MOST - 1)), StepOutput("b", b"yy"), StepOutput("c", b"z")]
    lines = client.get(LOGS).text.splitlines()
    assert [line[:4] for line in lines] == ["a: x", "(the"]
    assert lines[1] == "(the answer ends here, with 16 MiB: read step b, or fewer lines)"


def test_an_error_in_the_middle_is_the_last_line(
    client: httpx.Client, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Iterator[StepOutput]:
        yield StepOutput("a", b"x")
        raise Ambiguous("the connection was lost")

    monkeypatch.setattr(daemon, "outputs", broken)
    assert client.get(LOGS).text == "a: x\n(the answer ends here: the connection was lost)\n"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        pytest.param(NoOutput("no pods any more"), 404, id="nothing there"),
        pytest.param(Refused("invalid"), 404, id="refused"),
        pytest.param(Later("may not list pods; grant it", code="403", retry_after=60.0), 503, id="right missing"),
        pytest.param(Ambiguous("no answer"), 503, id="no answer"),
    ],
)
def test_without_output_the_answer_says_why(
    client: httpx.Client, daemon: Daemon, error: Exception, status: int
) -> None:
    daemon.unread = error
    answer = client.get(LOGS)
    assert (answer.status_code, answer.json()["detail"]) == (status, str(error))


@pytest.mark.parametrize("query", ["tail=0", "tail=100001", "tail=x", f"step={'x' * 257}"])
def test_values_that_are_not_valid_are_refused(client: httpx.Client, query: str) -> None:
    assert client.get(f"{LOGS}?{query}").status_code == 422


def test_an_unknown_run_has_no_log(client: httpx.Client) -> None:
    answer = client.get(f"/api/v1/runs/{RUN.format(9)}/logs")
    assert (answer.status_code, answer.json()["detail"]) == (404, f"there is no run {RUN.format(9)}")


def test_a_run_without_a_workflow_says_so(client: httpx.Client, daemon: Daemon) -> None:
    daemon.memory.put(t.runs, run(8, phase="PENDING", uid=None))
    answer = client.get(f"/api/v1/runs/{RUN.format(8)}/logs")
    assert (answer.status_code, answer.json()["detail"]) == (
        409,
        f"run {RUN.format(8)} is PENDING: it has no Workflow, so there is no log",
    )
