"""A daemon behind a proxy: its address for browsers, and users whom the proxy has signed in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.houses.daemon_in_process import SETTINGS, DaemonInProcess
from tests.unit.api.test_page import RULES, TRAIN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OUTSIDE = "https://ml.example.org/retrainer"
HTTP = """
http:
  port: 0
  external_url: https://ml.example.org/retrainer
  tokens:
    - name: proxy
      token: {from_file: FOLDER/proxy}
      namespaces: all
      users: {anna@example.org: [act]}
"""


@pytest.fixture
def house(tmp_path: Path) -> Iterator[DaemonInProcess]:
    (tmp_path / "proxy").write_text("secret-of-proxy")
    settings = SETTINGS.replace("http: {port: 0}\n", HTTP.replace("FOLDER", str(tmp_path)))
    house = DaemonInProcess(tmp_path, RULES, TRAIN, settings)
    house.http.headers["authorization"] = "Bearer secret-of-proxy"
    yield house
    house.close()


@pytest.mark.parametrize("prefix", ["", "/retrainer"])
def test_the_proxy_may_remove_its_path_or_leave_it(house: DaemonInProcess, prefix: str) -> None:
    assert '<base href="/retrainer/ui/"' in house.http.get(f"{prefix}/ui/rules/churn").text
    assert house.http.get(f"{prefix}/ui").headers["location"] == "/retrainer/ui/"
    assert house.http.get(f"{prefix}/api/v1/rules").json()["items"][0]["name"] == "churn"
    assert house.http.get(f"{prefix}/api/v1/rules/none").status_code == 404
    assert house.http.get(f"{prefix}/healthz").json()["status"] == "ok"
    assert house.http.post(f"{prefix}/hooks/push", json={"id": prefix}).status_code == 202


def test_another_path_that_begins_alike_is_not_removed(house: DaemonInProcess) -> None:
    assert house.http.get("/retrainers/healthz").status_code == 404
    assert house.http.get("/retrainer/retrainer/healthz").status_code == 404


def test_answers_name_their_page(house: DaemonInProcess) -> None:
    anna = {"retrainer-user": "anna@example.org"}
    why = house.http.post("/api/v1/rules/churn/explain", json={}).json()
    assert why["page"] == f"{OUTSIDE}/ui/rules/churn"
    done = house.http.post("/api/v1/rules/churn/trigger", json={}, headers=anna).json()
    assert done["page"] == f"{OUTSIDE}/ui/runs/{done['run']['id']}"
    assert house.http.get(f"/api/v1/runs/{done['run']['id']}").json()["page"] == done["page"]
    at = {"at": "2020-01-01T01:00:00+01:00"}
    then = house.http.post("/api/v1/rules/churn/explain", json=at).json()
    assert then["page"] == f"{OUTSIDE}/ui/rules/churn?at=2020-01-01T00:00:00.000Z"


def test_pages_of_this_address_may_act_and_others_may_not(house: DaemonInProcess) -> None:
    def act(origin: str) -> int:
        headers = {"retrainer-user": "anna@example.org", "origin": origin, "host": "ml.example.org"}
        return house.http.post("/api/v1/rules/churn/pause", json={}, headers=headers).status_code

    assert act("https://ml.example.org") == 200
    assert act("https://evil.example.org") == 403


@pytest.mark.parametrize(
    ("user", "status"),
    [
        pytest.param("anna@example.org", 200, id="a user with the verb"),
        pytest.param("bert@example.org", 403, id="a user without it"),
        pytest.param("", 403, id="nobody is named"),
    ],
)
def test_users_of_a_proxy_have_verbs_of_their_own(house: DaemonInProcess, user: str, status: int) -> None:
    answer = house.http.post("/api/v1/rules/churn/pause", json={}, headers={"retrainer-user": user})
    assert answer.status_code == status
    shown = house.http.get("/-/session", headers={"retrainer-user": user}).json()
    assert (shown["name"], shown["user"]) == ("proxy", user)
    assert shown["verbs"] == (["act", "read"] if status == 200 else ["read"])


def test_the_user_is_recorded(house: DaemonInProcess) -> None:
    house.http.post("/api/v1/rules/churn/pause", json={}, headers={"retrainer-user": "anna@example.org"})
    (act,) = [act for act in house.http.get("/api/v1/activity").json()["items"] if act["act"] == "pause"]
    assert (act["by"], act["on_behalf_of"]) == ("proxy", "anna@example.org")
