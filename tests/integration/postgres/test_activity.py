"""Two replicas with tokens: the identity of a request that is passed on, and refusals on the standby."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.postgres.pair import Pair, started
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.postgres.server import Postgres
    from tests.integration.s3.daemon import Daemon

API = "/api/v1"


@pytest.fixture
def pair(postgres: Postgres, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    monkeypatch.setenv("TEAM", "secret-of-team")
    monkeypatch.setenv("BOARD", "secret-of-board")
    made = Pair(postgres, database, tmp_path)
    for daemon in made.daemons:
        settings = json.loads(daemon.settings.read_text())
        settings["http"]["tokens"] = [
            {"name": "team", "token": {"from_env": "TEAM"}, "namespaces": "all", "verbs": ["read", "act"]},
            {"name": "board", "token": {"from_env": "BOARD"}, "namespaces": "all"},
        ]
        daemon.settings.write_text(json.dumps(settings))
    yield from started(made)


def ask(daemon: Daemon, who: str, method: str, path: str, **request: Any) -> Any:
    headers = {"Authorization": f"Bearer secret-of-{who}", **request.pop("headers", {})}
    return daemon.http.request(method, f"{API}/{path}", headers=headers, **request)


def activity(daemon: Daemon, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ask(daemon, "team", "GET", "activity", params=query).json()["items"]
    return found


def test_the_leader_knows_who_asked_the_standby(pair: Pair) -> None:
    leader, standby = pair.daemons
    answer = ask(standby, "team", "POST", "rules/every/pause", json={}, headers={"Retrainer-User": "anna"})
    assert answer.is_success, answer.text
    (row,) = activity(leader, by="team")
    facts = {name: row[name] for name in ("act", "by", "on_behalf_of", "address", "rule")}
    assert facts == {
        "act": "pause",
        "by": "team",
        "on_behalf_of": "anna",
        "address": "127.0.0.1 via 127.0.0.1",
        "rule": "every",
    }


def test_refusals_on_the_standby_are_stored_there(pair: Pair) -> None:
    leader, standby = pair.daemons
    for _ in range(3):
        assert ask(standby, "board", "POST", "rules/every/pause", json={}).status_code == 403
        assert ask(standby, "nobody", "GET", "rules").status_code == 401
    rows = until(lambda: (found := activity(leader)) and [r["count"] for r in found] == [3, 3] and found, "stored", 30)
    assert {(row["by"], row["result"]) for row in rows} == {("board", "refused"), ("", "refused")}
    assert not [line for line in standby.lines() if line["event"] == "timer.failed"]
    assert standby.http.post("/-/reload", headers={"Authorization": "Bearer secret-of-team"}).status_code == 403
