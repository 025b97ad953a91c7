"""`retrainer backfill`: preview, confirmation and progress."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from retrainer.engine.schedules.backfills import BackfillOrder

if TYPE_CHECKING:
    from tests.unit.api.daemon import Daemon
    from tests.unit.cli.conftest import Ask

PERIOD = ("backfill", "churn", "--key", "de", "--from", "2025-11-21", "--to", "2025-11-24")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrainer.cli.backfill.POLL", 0.0)
    monkeypatch.setattr("getpass.getuser", lambda: "anna")


def test_a_dry_run_shows_what_would_come_of_it(ask: Ask, daemon: Daemon) -> None:
    printed = ask(*PERIOD, "--dry-run").stdout
    assert "churn[de]: 2 of 3 slots to run" in printed
    assert "2025-11-22T16:00:00.000Z  nightly  skip      ran: SUCCEEDED" in printed
    assert "about 4.5 GPU hours" in printed
    assert "start of the last run: 2025-11-24T18:00:00.000Z (in 1h 58m), if no other run starts in between" in printed
    assert daemon.asked == []


def test_what_holds_it_now_is_told(ask: Ask) -> None:
    printed = ask("backfill", "churn", "--key", "paused", "--from", "3d", "--dry-run").stdout
    assert "held now: paused: resume it" in printed


def test_it_asks_first_and_shows_what_it_asks_about(ask: Ask, daemon: Daemon) -> None:
    refused = ask(*PERIOD, stdin="n\n", code=1)
    assert "2 of 3 slots to run" in refused.stderr
    assert "Run 2 slots?" in refused.stderr
    assert daemon.asked == []
    ask(*PERIOD, stdin="y\n")
    assert len(daemon.asked) == 1


def test_what_was_asked_for_is_handed_on_and_named(ask: Ask, daemon: Daemon) -> None:
    more = ("--trigger", "nightly", "--param", "depth=5", "--rerun", "--yes", "--idempotency-key", "k1")
    printed = ask(*PERIOD, *more).stdout
    order = BackfillOrder("churn", "de", "2025-11-21", "2025-11-24", "nightly", {"depth": "5"}, rerun=True, by="anna")
    assert daemon.asked == [("backfill", order, "k1")]
    assert "Requested 2 slots; `retrainer backfill churn --key de --follow`" in printed


def test_as_json_only_the_answer_is_on_stdout(ask: Ask) -> None:
    assert json.loads(ask(*PERIOD, "-o", "json", stdin="y\n").stdout)["request"] == "B1"
    assert json.loads(ask(*PERIOD, "--dry-run", "-o", "json").stdout)["count"] == 2
    assert json.loads(ask("backfill", "churn", "-o", "json").stdout)["running"] == 1


def test_follow_waits_for_the_end_and_fails_with_the_runs(ask: Ask) -> None:
    printed = ask(*PERIOD, "--yes", "--follow", code=1).stdout
    assert "2 slots: 1 succeeded, 1 failed" in printed


def test_without_a_period_it_says_how_far_the_last_one_is(ask: Ask) -> None:
    printed = ask("backfill", "churn").stdout
    assert "churn: requested by anna at 2025-11-24T16:00:00.000Z (2m ago)" in printed
    assert "2 slots: 1 waiting, 1 running" in printed


def test_cancel_drops_what_has_not_started(ask: Ask, daemon: Daemon) -> None:
    assert "Withdrew 5 slots, cancelled 1 waiting run." in ask("backfill", "churn", "--key", "de", "--cancel").stdout
    assert daemon.asked == [("withdraw", "de")]


REFUSED = [
    pytest.param(["--cancel", "--from", "7d"], 2, "give no --from", id="cancel with a period"),
    pytest.param(["--to", "1d"], 2, "give --from; without it", id="an end alone"),
    pytest.param(["--from", "7d", "--param", "depth", "--yes"], 2, "'depth' is not NAME=VALUE", id="no value"),
    pytest.param(["--from", "7d", "--trigger", "weekly", "--yes"], 1, "no schedule 'weekly'", id="refused"),
]


@pytest.mark.parametrize(("args", "code", "words"), REFUSED)
def test_refusals(ask: Ask, daemon: Daemon, args: list[str], code: int, words: str) -> None:
    assert words in ask("backfill", "churn", *args, code=code).stderr
    assert daemon.asked == []
