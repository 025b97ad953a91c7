# ruff: noqa: E501 - a table with one case a line
"""Who did what: each act and each refusal is one log line and one row, on a real daemon."""

from __future__ import annotations

import inspect
import os
import pkgutil
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

import retrainer.api
from retrainer.api import daemon as daemon_routes
from retrainer.api.verbs import VERBS
from tests.houses.teams import RULES, TeamsDaemon, teams
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

API = "/api/v1"
ROUTERS = [module.name for module in pkgutil.iter_modules(retrainer.api.__path__)]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TeamsDaemon]:
    with teams(tmp_path_factory.mktemp("teams")) as daemon:
        yield daemon


def activity(daemon: TeamsDaemon, **query: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = daemon.get("all", "activity", **query)["items"]
    return items


def last(daemon: TeamsDaemon, act: str, result: str = "done") -> dict[str, Any]:
    """Return the newest row of an act, once it is there: refusals are written within a second."""

    def found() -> dict[str, Any] | None:
        return next((row for row in activity(daemon) if (row["act"], row["result"]) == (act, result)), None)

    row: dict[str, Any] = until(found, f"{act} is {result}", 20)
    return row


def test_every_route_that_changes_something_records_it() -> None:
    routers = [getattr(import_module(f"retrainer.api.{name}"), "router", None) for name in ROUTERS]
    changing = {route for verb in ("act", "administer") for route in VERBS[verb]}
    unrecorded = set()
    for router in (*filter(None, routers), daemon_routes.reload_router):
        for route in router.routes:
            name = f"{next(iter(route.methods))} {'' if route.path.startswith('/-/') else API}{route.path}"
            if name in changing and "acts" not in inspect.signature(route.endpoint).parameters:
                unrecorded.add(name)
            changing.discard(name)
    assert (unrecorded, changing) == (set(), set())


ON_RULE = {"rule": "chargeback", "namespace": "fraud"}
ACTS = [
    pytest.param("POST", "rules/chargeback/pause", {"note": "incident 7"}, "pause", {**ON_RULE, "detail": "incident 7"}, id="pause"),
    pytest.param("POST", "rules/chargeback/resume", None, "resume", ON_RULE, id="resume"),
    pytest.param("POST", "rules/chargeback/trigger", {"dry_run": True}, "trigger", {**ON_RULE, "dry_run": True}, id="trigger, dry run"),
    pytest.param("POST", "rules/chargeback/trigger", {}, "trigger", {**ON_RULE, "dry_run": False, "detail": "fire: manual"}, id="trigger"),
    pytest.param("DELETE", "rules/chargeback/trigger", None, "withdraw_triggers", ON_RULE, id="withdraw manual runs"),
    pytest.param("POST", "rules/chargeback/backfills", {"from": "2d", "dry_run": True}, "backfill", {**ON_RULE, "dry_run": True, "detail": "slots from 2d to now"}, id="backfill, dry run"),
    pytest.param("DELETE", "rules/chargeback/backfills", None, "withdraw_backfills", ON_RULE, id="withdraw backfills"),
    pytest.param("POST", "state/import", {"ages": [{"rule": "upsell", "succeeded_at": "2026-11-01T00:00:00Z"}]}, "import_state", {"rule": "", "detail": "1 line"}, id="state import"),
    pytest.param("POST", "dead-letters/discard", {"ids": [999]}, "discard_dead_letters", {"detail": "1 dead letter: 999"}, id="discard"),
    pytest.param("POST", "dead-letters/replay", {"ids": [1]}, "replay_dead_letters", {"detail": "1 dead letter: 1"}, id="replay dead letters"),
    pytest.param("POST", "store/backup", None, "backup", {"rule": ""}, id="backup"),
    pytest.param("PUT", "store/last-backup", {"at": "2026-11-01T00:00:00Z", "bytes": 7, "place": "s3://backups/x"}, "report_backup", {"target": "s3://backups/x"}, id="report of a backup"),
    pytest.param("PUT", "../../-/log-level", {"level": None}, "log_level", {"detail": "configured"}, id="log level"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body", "act", "expected"), ACTS)
def test_an_act_is_recorded(
    daemon: TeamsDaemon, method: str, path: str, body: Any, act: str, expected: dict[str, Any]
) -> None:
    answer = daemon.ask("platform", method, f"{API}/{path}", json=body, headers={"Retrainer-User": "anna"})
    assert answer.is_success, answer.text
    row = last(daemon, act)
    who = {"by": "platform", "on_behalf_of": "anna", "address": "127.0.0.1", "count": 1, "result": "done"}
    assert {name: row[name] for name in (who | expected)} == who | expected
    lines = [line for line in daemon.lines() if line["event"] == "api.act" and line["act"] == act]
    assert {name: lines[-1][name] for name in expected} == expected


def test_acts_on_runs_name_the_rule(daemon: TeamsDaemon) -> None:
    run = daemon.get("fraud", "runs", rule="chargeback", phase="SUCCEEDED")["items"][-1]["id"]
    daemon.ask("fraud", "POST", f"{API}/runs/{run}/feedback", json={"promoted": True})
    row = last(daemon, "feedback")
    expected = {**ON_RULE, "run": run, "by": "fraud", "detail": "promoted", "on_behalf_of": ""}
    assert {name: row[name] for name in expected} == expected


def test_a_refused_act_is_recorded(daemon: TeamsDaemon) -> None:
    run = daemon.get("fraud", "runs", rule="chargeback", phase="SUCCEEDED")["items"][-1]["id"]
    for _ in range(3):
        assert daemon.ask("fraud", "POST", f"{API}/runs/{run}/retry").status_code == 409
    row = until(lambda: (found := last(daemon, "retry", "refused"))["count"] == 3 and found, "all are counted", 20)
    assert (row["by"], row["run"], "succeeded" in row["detail"]) == ("fraud", run, True)
    lines = [line for line in daemon.lines() if line["event"] == "api.refused" and line.get("act") == "retry"]
    assert len(lines) == 1, "equal refusals are one line"


def test_a_manual_run_says_by_whom(daemon: TeamsDaemon) -> None:
    answer = daemon.ask("ci", "POST", f"{API}/rules/uplift/trigger", json={"by": "pipeline 7"})
    run = answer.json()["run"]["id"]
    assert daemon.get("all", f"runs/{run}")["cause"]["by"] == "ci (pipeline 7)"
    row = next(row for row in activity(daemon, rule="uplift") if row["run"] == run)
    assert (row["act"], row["by"], row["on_behalf_of"]) == ("trigger", "ci", "pipeline 7")


def test_a_request_cannot_claim_to_be_another_token(daemon: TeamsDaemon) -> None:
    answer = daemon.ask("fraud", "POST", f"{API}/rules/chargeback/trigger", json={"by": "platform"})
    run = answer.json()["run"]["id"]
    assert daemon.get("fraud", f"runs/{run}")["cause"]["by"] == "fraud (platform)"


def test_refused_tokens_are_one_row_an_hour(daemon: TeamsDaemon) -> None:
    for _ in range(30):
        daemon.ask("nobody", "GET", f"{API}/rules")
    daemon.ask("fraud-board", "POST", f"{API}/rules/chargeback/pause", json={})

    def rows() -> list[dict[str, Any]]:
        return [row for row in activity(daemon) if row["act"] == "request" and row["target"] == f"GET {API}/rules"]

    until(lambda: rows() and rows()[0]["count"] >= 30, "all are counted", 20)
    assert len(rows()) == 1
    assert (rows()[0]["by"], rows()[0]["result"]) == ("", "refused")
    row = until(lambda: next(iter(activity(daemon, by="fraud-board")), None), "the other refusal", 20)
    assert row["target"] == f"POST {API}/rules/{{rule}}/pause"
    assert row["detail"].startswith("the token fraud-board permits read, and this needs act")


def test_a_flood_of_different_refusals_is_bounded(daemon: TeamsDaemon) -> None:
    for n in range(60):
        daemon.ask("growth", "POST", f"{API}/runs/0000{n:04}/retry")  # no such run: not an act
        daemon.ask("ci", "POST", f"{API}/rules/no-such-rule-{n}/pause", json={})

    def rows() -> list[dict[str, Any]]:
        return [row for row in activity(daemon, by="ci", limit=500) if row["result"] == "refused"]

    until(lambda: sum(row["count"] for row in rows()) == 60, "all are counted", 20)
    assert len(rows()) == 20
    (others,) = [row for row in rows() if row["target"] == "others"]
    assert others["count"] == 41


def test_a_team_sees_what_concerns_it(daemon: TeamsDaemon) -> None:
    daemon.ask("growth", "POST", f"{API}/rules/uplift/pause", json={"note": "of growth"})
    daemon.ask("growth", "POST", f"{API}/rules/uplift/resume")
    daemon.ask("fraud", "POST", f"{API}/rules/chargeback/resume")
    rows = daemon.get("fraud", "activity", limit=500)["items"]
    assert {row["namespace"] for row in rows} <= {"fraud", ""}
    assert {row["by"] for row in rows if not row["namespace"]} <= {"fraud"}
    assert any(row["by"] == "platform" for row in rows), "also what others did to its rules"
    assert "growth" not in str(rows)


def test_lists_are_paged_and_filtered(daemon: TeamsDaemon) -> None:
    whole = [row["id"] for row in activity(daemon, limit=500)]
    first = daemon.get("all", "activity", limit=2)
    second = daemon.get("all", "activity", limit=2, cursor=first["next"])
    assert [row["id"] for row in first["items"] + second["items"]] == whole[:4]
    middle = activity(daemon, limit=500)[3]["at"]
    later, earlier = activity(daemon, since=middle, limit=500), activity(daemon, until=middle, limit=500)
    assert [row["id"] for row in later + earlier] == whole
    assert later[-1]["at"] == middle


def test_edits_of_rule_files_are_recorded(daemon: TeamsDaemon) -> None:
    file = daemon.folder / "rules/rules.yaml"
    (daemon.folder / "rules/more.yaml").write_text(
        'version: 1\nrules:\n  - {name: late, triggers: {s: {schedule: {cron: "0 2 * * *"}}}, '
        "submit: {namespace: fraud, workflow_template: train}}\n"
    )
    file.write_text(RULES.replace("0 2 * * *", "0 3 * * *"))

    def edits() -> set[tuple[str, str, str, str]]:
        found = [row for row in activity(daemon, by="files", limit=500) if row["act"] == "edit"]
        return {(row["rule"], row["target"].rpartition("/")[2], row["detail"], row["namespace"]) for row in found}

    until(lambda: len(edits()) >= 2, "both edits are taken", 30)
    assert edits() == {
        ("chargeback", "rules.yaml", "rule changed", "fraud"),
        ("late", "more.yaml", "rule added", "fraud"),
    }
    daemon.ask("platform", "POST", "/-/reload")
    assert len(edits()) == 2, "a reload without an edit is none"
    assert last(daemon, "reload")["by"] == "platform"


def test_the_command_lists_it(daemon: TeamsDaemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRAINER_TOKEN", "secret-of-platform")
    monkeypatch.setenv("LOGNAME", "anna")
    daemon.cli("pause", "upsell")
    daemon.cli("resume", "upsell")
    text = daemon.cli("activity", "--rule", "upsell", "--limit", "2")
    assert "platform (anna)" in text
    assert [line.split()[3:6] for line in text.splitlines()[1:]] == [
        ["(anna)", "resume", "upsell"],
        ["(anna)", "pause", "upsell"],
    ]
    assert daemon.cli("activity", "--rule", "nothing").strip() == "There is no such activity."
    assert '"act": "resume"' in daemon.cli("activity", "--rule", "upsell", "--limit", "1", "-o", "json")


def test_no_token_is_shown_anywhere(daemon: TeamsDaemon) -> None:
    daemon.ask("platform", "POST", f"{API}/rules/upsell/pause", json={"note": "secret-of-fraud"})
    last(daemon, "pause")
    said = daemon.said() + str(activity(daemon, limit=1000))
    assert "secret-of" not in said
    stored = b"".join(path.read_bytes() for path in daemon.folder.glob("store.db*"))
    assert stored.count(b"secret-of") == 0


def test_what_is_recorded_survives_a_crash(tmp_path_factory: pytest.TempPathFactory) -> None:
    daemon = TeamsDaemon(tmp_path_factory.mktemp("crash"))
    try:
        daemon.start()
        daemon.ready()
        assert daemon.ask("fraud", "POST", f"{API}/rules/chargeback/pause", json={}).is_success
        daemon.kill()
        os.truncate(daemon.log, 0)
        (daemon.folder / "rules/rules.yaml").write_text(RULES.replace("0 2 * * *", "0 4 * * *"))
        daemon.start()
        daemon.ready()
        rows = [(row["act"], row["by"], row["detail"]) for row in activity(daemon)]
        assert rows == [("edit", "files", "file changed"), ("pause", "fraud", "")]
    finally:
        daemon.close()
