"""Who may do what: tokens of teams with namespaces and verbs, on a real daemon."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from retrainer.api.app import openapi
from retrainer.api.verbs import VERBS
from tests.houses.teams import TeamsDaemon, teams
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

API = "/api/v1"
OPEN = {"GET /healthz", "GET /readyz", "GET /metrics"}
"""Routes that need no token."""
UNDESCRIBED = {"GET /api/v1/openapi.json"}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TeamsDaemon]:
    with teams(tmp_path_factory.mktemp("teams")) as daemon:
        yield daemon


def test_every_route_has_exactly_one_verb() -> None:
    described = {
        f"{method.upper()} {path}"
        for path, methods in openapi()["paths"].items()
        for method in methods
        if not path.startswith("/hooks/")
    }
    listed = [route for routes in VERBS.values() for route in routes]
    assert sorted(listed) == sorted((described - OPEN) | UNDESCRIBED)


MAY = [
    pytest.param("fraud", "GET", "/rules/chargeback", 200, id="a team reads its rule"),
    pytest.param("fraud", "POST", "/rules/chargeback/pause", 200, id="a team acts on its rule"),
    pytest.param("fraud", "POST", "/rules/chargeback/explain", 200, id="a team has its rule explained"),
    pytest.param("fraud", "GET", "/rules/uplift", 404, id="the rule of another team does not exist"),
    pytest.param("fraud", "POST", "/rules/uplift/pause", 404, id="nor can it be paused"),
    pytest.param("fraud", "POST", "/rules/uplift/trigger", 404, id="nor triggered"),
    pytest.param("fraud", "DELETE", "/rules/uplift/trigger", 404, id="nor withdrawn"),
    pytest.param("fraud", "POST", "/rules/uplift/explain", 404, id="nor explained"),
    pytest.param("fraud", "GET", "/sources/growth-lake", 404, id="nor does its source"),
    pytest.param("fraud", "GET", "/sources/fraud-lake", 200, id="but the source of its own rule does"),
    pytest.param("fraud", "POST", "/dead-letters/discard", 403, id="a team does not administer"),
    pytest.param("fraud", "POST", "/state/import", 403, id="nor import state"),
    pytest.param("fraud-board", "GET", "/rules/chargeback", 200, id="a reader reads"),
    pytest.param("fraud-board", "POST", "/rules/chargeback/explain", 200, id="explaining is reading"),
    pytest.param("fraud-board", "POST", "/rules/chargeback/resume", 403, id="a reader does not act"),
    pytest.param("fraud-board", "HEAD", "/rules", 405, id="a method that no route has"),
    pytest.param("ci", "POST", "/rules/uplift/resume", 200, id="a program acts in all namespaces"),
    pytest.param("ci", "GET", "/rules", 403, id="and needs no right to read for it"),
    pytest.param("platform", "POST", "/state/import", 200, id="the platform administers"),
    pytest.param("nobody", "GET", "/rules", 401, id="an unknown token"),
    pytest.param("", "GET", "/rules", 401, id="no token"),
    pytest.param("fraud", "GET", "/nothing", 404, id="a path that does not exist"),
    pytest.param("fraud", "GET", "/openapi.json", 200, id="the description"),
]


@pytest.mark.parametrize(("team", "method", "path", "status"), MAY)
def test_what_a_token_may(daemon: TeamsDaemon, team: str, method: str, path: str, status: int) -> None:
    bodies: dict[str, Any] = {"/state/import": {"ages": []}, "/dead-letters/discard": {"ids": [1]}}
    body = bodies.get(path, {}) if method == "POST" else None
    answer = daemon.ask(team, method, API + path, json=body)
    assert answer.status_code == status, answer.text
    assert f"secret-of-{team}" not in answer.text or not team


def test_a_refusal_says_what_is_missing(daemon: TeamsDaemon) -> None:
    answer = daemon.ask("fraud-board", "POST", f"{API}/rules/chargeback/pause", json={})
    assert answer.json()["detail"] == (
        "the token fraud-board permits read, and this needs act: send another, or add the verb in http.tokens"
    )


@pytest.mark.parametrize(("team", "wrong"), [("", "no bearer token was sent"), ("nobody", "the token is unknown")])
def test_a_refusal_says_whether_a_token_came(daemon: TeamsDaemon, team: str, wrong: str) -> None:
    detail = daemon.ask(team, "GET", f"{API}/rules").json()["detail"]
    assert detail == f"{wrong}: send that of http.token, or one of http.tokens, in the header Authorization"


def test_reload_needs_the_verb_too(daemon: TeamsDaemon) -> None:
    statuses = [daemon.ask(team, "POST", "/-/reload").status_code for team in ("fraud", "ci", "platform", "all")]
    assert statuses == [403, 403, 200, 200]


def test_runs_of_others_do_not_exist(daemon: TeamsDaemon) -> None:
    theirs = daemon.run_of("uplift")
    for method, path in (
        *(("GET", f"/runs/{theirs}{more}") for more in ("", "/inputs", "/manifest", "/logs")),
        *(("POST", f"/runs/{theirs}/{act}") for act in ("cancel", "retry")),
    ):
        answer = daemon.ask("fraud", method, API + path, json={} if method == "POST" else None)
        assert (answer.status_code, answer.json()["detail"]) == (404, f"there is no run {theirs}"), path
    assert daemon.ask("growth", "GET", f"{API}/runs/{theirs}").status_code == 200


def test_the_beginning_of_an_id_does_not_tell_runs_of_others(daemon: TeamsDaemon) -> None:
    ours, theirs = daemon.run_of("chargeback"), daemon.run_of("uplift")
    common = next(n for n, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b)
    assert daemon.ask("all", "GET", f"{API}/runs/{ours[:common]}").status_code == 409
    assert daemon.get("fraud", f"runs/{ours[:common]}")["id"] == ours


LISTS = [
    *("rules", "runs", "events", "decisions", "dead-letters", "sources"),
    *(
        "slots?rule=uplift",
        "decisions?rule=uplift",
        "runs?rule=uplift",
        "events?rule=uplift",
        "events?source=growth-lake",
    ),
    *("events/find?text=of-growth", "events/find?text=of-fraud", "dead-letters?source=growth-lake"),
    *("rules?name=up", "rules?source=growth-lake", "rules/chargeback", "sources/fraud-lake"),
]


@pytest.mark.parametrize("path", LISTS)
def test_no_list_shows_what_belongs_to_others(daemon: TeamsDaemon, path: str) -> None:
    words = ("growth", "uplift", "upsell")
    answer = daemon.ask("fraud", "GET", f"{API}/{path}")
    assert answer.status_code == 200
    assert not [word for word in words if word in answer.text], answer.text
    everything = daemon.ask("all", "GET", f"{API}/{path}")
    if path in LISTS[:6]:  # else the test could not fail
        assert [word for word in words if word in everything.text]
        assert "fraud" in answer.text or "chargeback" in answer.text


def simulated(daemon: TeamsDaemon, team: str, **asked: Any) -> str:
    """Return the text of an ended simulation of `chargeback`."""
    started = daemon.ask(team, "POST", f"{API}/simulations", json={"rule": "chargeback", **asked})
    assert started.status_code == 200, started.text
    path = f"simulations/{started.json()['id']}"
    until(lambda: daemon.get(team, path)["ended_at"], "the simulation ends", 60)
    assert daemon.get(team, path)["phase"] == "succeeded", daemon.get(team, path)
    return daemon.ask(team, "GET", f"{API}/{path}").text


def test_a_simulation_names_nothing_of_others_and_that_of_others_is_not_seen(daemon: TeamsDaemon) -> None:
    for asked in ({}, {"changes": {"limits.cooldown.period": 60}}, {"text": CHARGEBACK}):
        answer = simulated(daemon, "fraud", **asked)
        assert not [word for word in ("growth", "uplift", "upsell") if word in answer], answer
    assert "does not see share its pool" in answer
    whole = simulated(daemon, "all")
    assert "Played with it, unchanged: uplift" in whole
    number = json.loads(whole)["id"]
    assert number not in {one["id"] for one in daemon.get("fraud", "simulations")}
    for method in ("GET", "DELETE"):
        assert daemon.ask("fraud", method, f"{API}/simulations/{number}").status_code == 404
    assert number in {one["id"] for one in daemon.get("platform", "simulations")}


PERIOD = "since=2026-01-01T00:00:00Z&until=2100-01-01T00:00:00Z"
CHARGEBACK = (
    "name: chargeback\ntriggers: {fresh: {data: {source: fraud-lake}}}\n"
    "submit: {namespace: fraud, workflow_template: train}\n"
)
AFTER = CHARGEBACK.replace("data: {source: fraud-lake}", "after: RULE")
VALIDATED = "  - " + CHARGEBACK.replace("\n", "\n    ").rstrip() + "\n"
FOLLOWS = VALIDATED.replace("data: {source: fraud-lake}", "after: RULE")
ASKED: list[tuple[str, str, dict[str, Any] | None]] = [
    *(
        ("GET", path, None)
        for path in (
            *("overview", "limits", "rule-facets", "simulations", "activity", "status", "threads", "upcoming"),
            *(f"upcoming?{PERIOD}", "rules?order=worst", "rules?label=team", "rule-facets?label=team%3Dgrowth"),
            *(f"events/density?{PERIOD}", f"events/density?{PERIOD}&source=growth-lake"),
            *(f"runs?{PERIOD}", "activity?rule=uplift", "activity?by=growth", "store/last-backup"),
            *("rules/chargeback/source", "rules/chargeback/tests", "rules/chargeback/fields", "rules/chargeback/keys"),
            *("rules/chargeback/series", "rules/chargeback/pending", "rules/chargeback/pending/events"),
            *("rules/chargeback/backfills", "rules/chargeback/requests", "runs/OURS", "runs/OURS/chain"),
            *("runs/OURS/workflow", "runs/OURS/inputs", "runs/OURS/manifest"),
        )
    ),
    ("POST", "rule-acts", {"act": "trigger", "rules": ["chargeback"], "dry_run": True}),
    ("POST", "rules/chargeback/explain", {}),
    ("POST", "validate", {"rule": "chargeback", "text": VALIDATED}),
    ("POST", "validate", {"rule": "chargeback", "text": VALIDATED.replace("fraud-lake", "growht-lake")}),
    (
        "POST",
        "validate",
        {"rule": "chargeback", "text": FOLLOWS.replace("RULE", "uplfit")},
    ),
    ("POST", "validate", {"text": "version: 1\nrules: []\nsources: {x: {type: webhook, path: /hooks/x}}\n"}),
]


@pytest.mark.parametrize(("method", "path", "body"), ASKED)
def test_no_answer_names_what_belongs_to_others(
    daemon: TeamsDaemon, method: str, path: str, body: dict[str, Any] | None
) -> None:
    path = path.replace("OURS", daemon.run_of("chargeback"))
    answer = daemon.ask("fraud", method, f"{API}/{path}", json=body)
    assert answer.status_code in (200, 404), answer.text
    assert not [word for word in ("growth", "uplift", "upsell") if word in answer.text], answer.text


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        *(
            ("GET", f"rules/RULE/{part}", None)
            for part in (*("source", "tests", "fields", "keys", "series", "pending", "pending/events"), "requests")
        ),
        ("GET", "upcoming?rule=RULE", None),
        ("POST", "validate", {"rule": "RULE", "text": VALIDATED}),
        ("POST", "simulations", {"rule": "RULE"}),
        ("POST", "rule-acts", {"act": "pause", "rules": ["RULE"]}),
        ("POST", "rule-acts", {"act": "trigger", "rules": ["RULE"], "dry_run": True}),
        (
            "POST",
            "validate",
            {"rule": "chargeback", "text": FOLLOWS},
        ),
        ("POST", "validate", {"text": "version: 1\nrules:\n" + VALIDATED.replace("chargeback", "RULE")}),
        (
            "POST",
            "simulations",
            {"rule": "chargeback", "text": AFTER},
        ),
        ("POST", "simulations", {"rule": "chargeback", "text": CHARGEBACK.replace("fraud-lake", "RULE")}),
        ("POST", "simulations", {"rule": "chargeback", "changes": {"triggers.fresh.data.source": "RULE"}}),
    ],
)
@pytest.mark.parametrize("theirs", ["uplift", "growth-lake"])
def test_what_belongs_to_others_is_refused_like_what_does_not_exist(
    daemon: TeamsDaemon, method: str, path: str, body: dict[str, Any] | None, theirs: str
) -> None:
    def answers(name: str) -> tuple[int, str]:
        asked = json.loads(json.dumps(body).replace("RULE", name))
        answer = daemon.ask("fraud", method, f"{API}/{path.replace('RULE', name)}", json=asked)
        return answer.status_code, answer.text.replace(name, "RULE")

    unknown = "u" * len(theirs)
    assert answers(theirs) == answers(unknown)
    if "simulations" in path:
        assert answers(theirs)[0] in (404, 409)


def test_single_items_of_others_do_not_exist(daemon: TeamsDaemon) -> None:
    for kind, number in (("events", "seq"), ("dead-letters", "id")):
        for item in daemon.get("all", kind)["items"]:
            status = daemon.ask("fraud", "GET", f"{API}/{kind}/{item[number]}").status_code
            assert status == (200 if item["source"] == "fraud-lake" else 404)


def test_pages_of_a_limited_token_continue(daemon: TeamsDaemon) -> None:
    whole = [run["id"] for run in daemon.get("fraud", "runs")["items"]]
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = daemon.get("fraud", "runs", limit=1, **({"cursor": cursor} if cursor else {}))
        found, cursor = found + [run["id"] for run in page["items"]], page["next"]
    assert found == whole != []


def test_a_token_is_rotated_and_revoked_without_a_restart(daemon: TeamsDaemon) -> None:
    def status(token: str) -> int:
        return daemon.http.get(f"{API}/rules", headers={"Authorization": f"Bearer {token}"}).status_code

    file = daemon.folder / "tokens/growth"
    file.write_text("another-secret")
    assert (status("another-secret"), status("secret-of-growth")) == (200, 401)
    file.unlink()
    assert (status("another-secret"), status("secret-of-fraud")) == (503, 200)
    file.write_text("secret-of-growth")
    assert status("secret-of-growth") == 200


def test_refused_tokens_are_counted_by_name_and_reason(daemon: TeamsDaemon) -> None:
    def count(token: str, reason: str) -> float:
        return daemon.metric(f'retrainer_api_tokens_refused_total{{reason="{reason}",token="{token}"}}') or 0.0

    before = {reason: count("", reason) for reason in ("none", "unknown")}, count("fraud-board", "verb")
    for team, method in (("", "GET"), ("nobody", "GET"), ("fraud-board", "POST")):
        daemon.ask(team, method, f"{API}/rules/chargeback/resume" if method == "POST" else f"{API}/rules")
    until(lambda: count("fraud-board", "verb") == before[1] + 1, "the refusal is counted")
    assert {reason: count("", reason) for reason in before[0]} == {r: n + 1 for r, n in before[0].items()}


def test_the_log_names_the_token_and_never_shows_it(daemon: TeamsDaemon) -> None:
    daemon.ask("fraud-board", "POST", f"{API}/rules/chargeback/resume", json={})
    daemon.ask("nobody", "GET", f"{API}/rules")
    lines = [line for line in daemon.lines() if line["event"] == "api.refused"]
    assert ("fraud-board", 403) in {(line.get("by"), line.get("status")) for line in lines}
    assert "secret-of" not in daemon.said()


def test_who_insists_waits_and_a_valid_token_is_let_in(tmp_path_factory: pytest.TempPathFactory) -> None:
    daemon = TeamsDaemon(tmp_path_factory.mktemp("strict"), max_wrong_tokens=3)
    daemon.start()
    try:
        answers = [daemon.ask("nobody", "GET", f"{API}/rules") for _ in range(5)]
        assert [answer.status_code for answer in answers] == [401, 401, 401, 429, 429]
        assert answers[-1].headers["retry-after"] == "60"
        assert daemon.ask("fraud", "GET", f"{API}/rules").status_code == 200
    finally:
        daemon.close()
