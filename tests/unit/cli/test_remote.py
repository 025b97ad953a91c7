"""Commands that call the daemon, over a real server: text output, JSON output and exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from retrainer.util.clock import SystemClock
from retrainer.workflows.base import StepOutput
from tests.unit.api.ledger import NOW, RUN, event

if TYPE_CHECKING:
    from retrainer.api.server import WebServer
    from tests.unit.api.daemon import Daemon
    from tests.unit.cli.conftest import Ask


def rows(text: str) -> list[list[str]]:
    """The rows of a table, split at two or more spaces."""
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in text.splitlines()]


TEXTS = [
    pytest.param(["rules"], ["churn", "in 5m", "FAILED 56s ago", "churn is held: debounce"], id="rules"),
    pytest.param(
        ["explain", "churn", "--key", "de"],
        [
            "churn[de] is held: debounce",
            "2025-11-24T16:07:00.000Z (in 5m)",
            "quiet for 3 min of 10",
            "events 7 pending",
        ],
        id="explain",
    ),
    pytest.param(["trigger", "churn", "--key", "de"], [RUN.format(3), "churn-3"], id="trigger"),
    pytest.param(
        ["trigger", "churn", "--key", "resting"],
        ["hold (cooldown): for another hour; the request waits"],
        id="trigger-held",
    ),
    pytest.param(["trigger", "churn", "--key", "de", "--dry-run"], ['"kind": "Workflow"'], id="trigger-dry-run"),
    pytest.param(["pause", "churn"], ["churn is paused. Resume it with `retrainer resume churn`."], id="pause"),
    pytest.param(["resume", "churn"], ["churn is resumed"], id="resume"),
    pytest.param(["status"], ["retrainer", "ready", "No component waits."], id="status"),
    pytest.param(
        ["runs", "list"], [RUN.format(1), "new_data: batch_complete", "1m", "churn-1", "auc=0.91"], id="runs-list"
    ),
    pytest.param(
        ["runs", "list", "--since", "2030-01-01T00:00:00Z"], ["There are no such runs."], id="runs-list-since"
    ),
    pytest.param(["events", "list", "--until", "2025-11-24T16:00:02Z"], ["churn/1.parquet"], id="events-list-until"),
    pytest.param(
        ["decisions", "list", "--since", "2030-01-01T00:00:00Z"], ["There are no such decisions."], id="decisions-since"
    ),
    pytest.param(
        ["dead-letters", "list", "--until", "2020-01-01T00:00:00Z"], ["There are no dead letters."], id="letters-until"
    ),
    pytest.param(["runs", "list", "--rule", "nope"], ["There are no such runs."], id="runs-list-empty"),
    pytest.param(
        ["runs", "show", RUN.format(1)],
        ["SUCCEEDED", "ml/churn-1", "5 events, 0 rows, 2000 bytes", "since=2025-11-24", "cpu=42s", "(1m ago)"],
        id="runs-show",
    ),
    pytest.param(["runs", "show", RUN.format(1), "--inputs"], ['{"key":"churn/7.parquet","size":700}'], id="inputs"),
    pytest.param(["runs", "show", RUN.format(2), "--inputs"], ["It consumed no events."], id="inputs-none"),
    pytest.param(
        ["runs", "show", f"churn-{RUN.format(1).lower()}"], ["SUCCEEDED", "ml/churn-1"], id="runs-show-workflow"
    ),
    pytest.param(["runs", "follow", RUN.format(1)], ["SUCCEEDED", " after "], id="runs-follow"),
    pytest.param(["runs", "logs", RUN.format(1)], ["prepare: 2 rows\n", "train: epoch 2\n"], id="runs-logs"),
    pytest.param(["keys", "list", "churn"], ["KEY", "de", "fr"], id="keys-list"),
    pytest.param(["decisions", "list", "--rule", "churn"], ["hold", "TIMES"], id="decisions-list"),
    pytest.param(["runs", "cancel", RUN.format(3)], ["is requested; it is RUNNING"], id="runs-cancel"),
    pytest.param(["runs", "retry", RUN.format(2)], [RUN.format(3)], id="runs-retry"),
    pytest.param(["events", "list", "--rule", "churn", "--key", "fr"], ["churn[fr]", "1m ago"], id="events-list"),
    pytest.param(["events", "show", "8"], ["object-8", "churn[fr]", '"size": 800'], id="events-show"),
    pytest.param(["dead-letters", "list"], ["unreadable", "not JSON"], id="dead-letters-list"),
    pytest.param(["dead-letters", "show", "1"], ["7 bytes (utf-8)", "{broken"], id="dead-letters-show"),
    pytest.param(["dead-letters", "replay", "2"], ["1 replayed, 0 failed"], id="dead-letters-replay"),
    pytest.param(["dead-letters", "discard", "2", "--yes"], ["1 discarded"], id="dead-letters-discard"),
]


@pytest.mark.parametrize(("command", "expected"), TEXTS)
def test_as_text(ask: Ask, command: list[str], expected: list[str]) -> None:
    printed = ask(*command).stdout
    assert [words for words in expected if words not in printed] == []
    assert "\x1b" not in printed


JSON = [
    pytest.param(["rules"], lambda told: told["items"][0]["next_fire"], "2025-11-24T16:07:00.000Z", id="rules"),
    pytest.param(["explain", "churn"], lambda told: told["reason"], "debounce", id="explain"),
    pytest.param(["trigger", "churn", "--key", "de"], lambda told: told["run"]["workflow"], "churn-3", id="trigger"),
    pytest.param(["pause", "churn"], lambda told: told, {"rule": "churn", "paused": True}, id="pause"),
    pytest.param(["resume", "churn"], lambda told: told, {"rule": "churn", "paused": False}, id="resume"),
    pytest.param(
        ["runs", "list", "--limit", "2"],
        lambda told: (len(told["items"]), told["next"]),
        (2, RUN.format(2)),
        id="runs-list",
    ),
    pytest.param(["runs", "show", RUN.format(1)], lambda told: told["outputs"], {"auc": 0.91}, id="runs-show"),
    pytest.param(
        ["runs", "show", RUN.format(1), "--inputs"],
        lambda told: [one["seq"] for one in told["inputs"]],
        [1, 2, 3, 6, 7],
        id="inputs",
    ),
    pytest.param(
        ["runs", "logs", RUN.format(1), "--step", "train"], lambda told: told["text"][:7], "prepare", id="runs-logs"
    ),
    pytest.param(["runs", "cancel", RUN.format(3)], lambda told: told["id"], RUN.format(3), id="runs-cancel"),
    pytest.param(["runs", "retry", RUN.format(2)], lambda told: told["id"], RUN.format(3), id="runs-retry"),
    pytest.param(
        ["events", "list"],
        lambda told: [one["seq"] for one in told["items"]],
        [9, 8, 7, 6, 5, 4, 3, 2, 1],
        id="events-list",
    ),
    pytest.param(["events", "show", "8"], lambda told: told["data"]["size"], 800, id="events-show"),
    pytest.param(
        ["dead-letters", "list"], lambda told: [one["id"] for one in told["items"]], [2, 1], id="dead-letters-list"
    ),
    pytest.param(["dead-letters", "show", "2"], lambda told: told["encoding"], "base64", id="dead-letters-show"),
    pytest.param(
        ["dead-letters", "replay", "2"], lambda told: told, {"replayed": 1, "failed": []}, id="dead-letters-replay"
    ),
    pytest.param(
        ["dead-letters", "discard", "2", "7", "--yes"], lambda told: told, {"discarded": 1}, id="dead-letters-discard"
    ),
]


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize(("command", "pick", "expected"), JSON)
def test_as_json(ask: Ask, command: list[str], pick: Any, expected: Any, place: str) -> None:
    args = ["-o", "json", *command] if place == "before" else [*command, "-o", "json"]
    assert pick(json.loads(ask(*args).stdout)) == expected


REFUSED = [
    pytest.param(["runs", "logs", RUN.format(9)], 1, "there is no run", id="logs-of-unknown-run"),
    pytest.param(["explain", "nope"], 1, "there is no rule 'nope'", id="unknown-rule"),
    pytest.param(["trigger", "churn"], 1, "name one", id="trigger-without-key"),
    pytest.param(["trigger", "churn", "--param", "since"], 2, "'since' is not NAME=VALUE", id="param-without-value"),
    pytest.param(["runs", "show", "nope"], 1, "there is no run nope", id="unknown-run"),
    pytest.param(["runs", "show", "a/../b"], 1, "there is no /api/v1/runs/a/../b", id="run-with-slashes"),
    pytest.param(["runs", "cancel", RUN.format(1)], 1, "has ended: SUCCEEDED", id="cancel-ended"),
    pytest.param(["runs", "retry", RUN.format(3)], 1, "only an ended run", id="retry-live"),
    pytest.param(["runs", "list", "--phase", "DONE"], 2, "'DONE' is not one of", id="unknown-phase"),
    pytest.param(["events", "list", "--key", "de"], 2, "--key needs --rule", id="key-without-rule"),
    pytest.param(["events", "show", "77"], 1, "there is no event 77", id="unknown-event"),
    pytest.param(["dead-letters", "replay"], 2, "by their ids, or say --all", id="no-ids"),
    pytest.param(["dead-letters", "replay", "1", "--all"], 2, "by their ids, or say --all", id="ids-and-all"),
    pytest.param(["explain", "churn", "--at", "tomorrow"], 1, "body.at", id="bad-moment"),
]


@pytest.mark.parametrize(("command", "code", "expected"), REFUSED)
def test_refusals(ask: Ask, command: list[str], code: int, expected: str) -> None:
    result = ask(*command, code=code)
    assert expected in result.stderr
    assert result.stdout == ""


def test_a_refusal_as_json(ask: Ask) -> None:
    problem = json.loads(ask("runs", "show", "nope", "-o", "json", code=1).stderr)
    assert (problem["status"], problem["detail"]) == (404, "there is no run nope")


def test_a_skipped_trigger_is_a_refusal(ask: Ask) -> None:
    assert "skip (overlap): a run is on its way" in ask("trigger", "churn", "--key", "busy", code=1).stdout


def test_parameters_are_handed_on(ask: Ask, daemon: Daemon) -> None:
    ask("trigger", "churn", "--key", "de", "--param", "since=2025-01-01", "--param", "where=a=b")
    assert daemon.asked == [("trigger", "de", {"since": "2025-01-01", "where": "a=b"})]


def test_what_was_asked_for_can_be_withdrawn(ask: Ask, daemon: Daemon) -> None:
    printed = ask("trigger", "churn", "--key", "de", "--cancel").stdout
    assert "Withdrew 1 request, cancelled 2 waiting runs." in printed
    assert daemon.asked == [("withdraw by hand", "de")]
    assert "no option with it except --key" in ask("trigger", "churn", "--param", "a=b", "--cancel", code=2).stderr


def test_triggers_are_told_apart_unless_asked_otherwise(ask: Ask, daemon: Daemon) -> None:
    for args in ([], [], ["--idempotency-key", "k"], ["--idempotency-key", "k"]):
        ask("trigger", "churn", "--key", "de", *args)
    assert len(daemon.asked) == 3


@pytest.mark.parametrize("source", ["file", "stdin"])
def test_explain_an_event(ask: Ask, daemon: Daemon, tmp_path: Path, source: str) -> None:
    text = '{"data": {"customer": "de"}}'
    (tmp_path / "event.json").write_text(text)
    args = ["--event", str(tmp_path / "event.json")] if source == "file" else ["--event", "-"]
    printed = ask("explain", "churn", *args, stdin=text).stdout
    assert daemon.asked == [("explain", "", {"data": {"customer": "de"}}, None)]
    assert "this event would count for new_data (key=de)" in printed
    assert "yes source = lake" in printed


@pytest.mark.parametrize(
    ("text", "expected"),
    [pytest.param("{", "not JSON", id="not-json"), pytest.param("[]", "a JSON object", id="no-object")],
)
def test_an_event_that_is_none(ask: Ask, text: str, expected: str) -> None:
    assert expected in ask("explain", "churn", "--event", "-", stdin=text, code=1).stderr


def test_cancel_and_terminate(ask: Ask, daemon: Daemon) -> None:
    ask("runs", "cancel", RUN.format(3))
    ask("runs", "cancel", RUN.format(3), "--terminate")
    assert [asked[2] for asked in daemon.asked] == ["Stop", "Terminate"]


def test_a_list_follows_its_pages(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrainer.cli.client.PAGE", 2)
    assert [row[0] for row in rows(ask("events", "list", "--limit", "5").stdout)] == ["SEQ", "9", "8", "7", "6", "5"]
    rest = ask("events", "list", "--cursor", "5", "-o", "json")
    assert [one["seq"] for one in json.loads(rest.stdout)["items"]] == [4, 3, 2, 1]


def test_replay_all_says_what_failed(ask: Ask) -> None:
    printed = ask("dead-letters", "replay", "--all", code=1).stdout
    assert printed == "1 replayed, 1 failed\n1: it cannot be read as an event\n"


def test_discard_asks_first(ask: Ask, daemon: Daemon) -> None:
    ask("dead-letters", "discard", "--all", "--source", "push", stdin="n\n", code=1)
    assert daemon.asked == []
    ask("dead-letters", "discard", "--all", "--source", "push", stdin="y\n")
    assert daemon.asked == [("discard", [1, 2])]


def test_what_others_sent_does_not_steer_the_terminal(ask: Ask, daemon: Daemon) -> None:
    from retrainer.store import tables as t

    daemon.memory.put(t.events, event(20, type="\x1b]0;owned\x07[red]", subject="a\u202eb"))
    for command in (["events", "list"], ["events", "show", "20"]):
        printed = ask(*command).stdout
        assert "\\x1b]0;owned\\x07[red]" in printed
        assert "\x1b" not in printed
        assert "\u202e" not in printed


def test_the_token_is_sent(cli: Ask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from retrainer.api.app import build
    from tests.unit.api.conftest import serving
    from tests.unit.api.daemon import Daemon

    monkeypatch.setenv("TOKEN", "s3cret")
    daemon = Daemon(token={"from_env": "TOKEN"})
    with serving(build(daemon)) as server:
        refused = cli("--url", server.url, "rules", code=1)
        assert "RETRAINER_TOKEN" in refused.stderr
        assert "s3cret" not in refused.stderr
        monkeypatch.setenv("RETRAINER_TOKEN_FILE", str(tmp_path / "token"))
        assert "cannot be read" in cli("--url", server.url, "rules", code=1).stderr
        (tmp_path / "token").write_text("s3cret\n")
        cli("--url", server.url, "rules")
        (tmp_path / "token").write_text("another")
        cli("--url", server.url, "--token", "s3cret", "rules")
        cli("rules", "--url", server.url, "--token", "s3cret")
        monkeypatch.setenv("RETRAINER_TOKEN", "s3cret")
        cli("--url", server.url, "rules")
    daemon.memory.close()


def test_nobody_answers(cli: Ask) -> None:
    words = cli("--url", "http://127.0.0.1:1", "rules", code=2).stderr
    assert all(name in words for name in ("http://127.0.0.1:1", "RETRAINER_URL", "RETRAINER_TOKEN", "retrainer run"))
    problem = json.loads(cli("--url", "http://127.0.0.1:1", "rules", "-o", "json", code=2).stderr)
    assert "no answer" in problem["detail"]


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("localhost:8080", id="no-scheme"),
        pytest.param("ftp://localhost", id="other-scheme"),
        pytest.param("http://", id="no-host"),
        pytest.param("http://[", id="malformed"),
    ],
)
def test_an_address_that_is_none(cli: Ask, url: str) -> None:
    assert "--url" in cli("--url", url, "rules", code=2).stderr


def test_somebody_else_answers(cli: Ask) -> None:
    from starlette.responses import PlainTextResponse

    from tests.unit.api.conftest import serving

    with serving(PlainTextResponse("<html>")) as server:
        assert "is not a retrainer API" in cli("--url", server.url, "rules", code=2).stderr


def test_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    from retrainer.cli import show

    monkeypatch.setattr(SystemClock, "now", lambda _: NOW - 60)
    lengths = [0, 59.9, 60, 3599, 3600, 7500, 86400, 90000, 864000]
    assert [show.span(length) for length in lengths] == ["0s", "59s", "1m", "59m", "1h", "2h 5m", "1d", "1d 1h", "10d"]
    assert show.relative("2025-11-24T16:00:00.000Z") == "in 1m"
    assert show.relative(None) == "-"


def test_the_beginning_of_an_id_has_to_name_one_run(ask: Ask) -> None:
    assert "several runs begin with 01kav, such as" in ask("runs", "show", "01kav", code=1).output
    assert "there is no run 01K" in ask("runs", "show", "01K", code=1).output


def test_a_followed_run_that_fails_ends_the_command_with_1(ask: Ask) -> None:
    assert "FAILED" in ask("runs", "follow", RUN.format(2), code=1).stdout


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("retrainer explain ", "churn"),
        ("retrainer runs show 01KAV", RUN.format(1)),
        ("retrainer events list --rule ch", "churn"),
    ],
)
def test_the_shell_completes_what_the_daemon_knows(server: WebServer, words: str, offered: str) -> None:
    assert f"plain,{offered}" in completed(words, server.url)


def test_without_a_daemon_the_shell_completes_nothing() -> None:
    assert completed("retrainer explain ", "http://127.0.0.1:1") == [""]


def completed(words: str, url: str) -> list[str]:
    """What bash is offered for the last word."""
    command = Path(sys.executable).with_name("retrainer")
    place = {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split(" ")) - 1)}
    env = {**os.environ, "_RETRAINER_COMPLETE": "bash_complete", "RETRAINER_URL": url, **place}
    return subprocess.run([command], env=env, capture_output=True, text=True, check=True).stdout.splitlines()


def test_a_log_cannot_control_the_terminal(ask: Ask, daemon: Daemon) -> None:
    daemon.steps = [StepOutput("train", b"\x1b[2Jloss\t0.1\n")]
    assert ask("runs", "logs", RUN.format(1)).stdout == "train: \\x1b[2Jloss 0.1\n"
