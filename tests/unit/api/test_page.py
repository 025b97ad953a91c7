"""The page: how it is served, and how it is told of changes."""

from __future__ import annotations

import re
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import httpx
import orjson
import pytest

from retrainer.api.session import begin, claimed, cookie_name
from tests.houses.daemon_in_process import SETTINGS, DaemonInProcess, template

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


RULES = """
version: 1
sources: {push: {type: webhook, path: /hooks/push}}
rules:
  - name: churn
    triggers: {files: {data: {source: push, batch: {at_least: {events: 3}}}}}
    submit: {workflow_template: train}
"""
TRAIN = template("train", "true")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[DaemonInProcess]:
    house = DaemonInProcess(tmp_path, RULES, TRAIN)
    yield house
    house.close()


@pytest.mark.parametrize("path", ["/ui/", "/ui/rules/churn", "/ui/runs/01ABC?tab=logs", "/ui/no/such/screen"])
def test_every_address_below_ui_is_the_same_document(house: DaemonInProcess, path: str) -> None:
    answer = house.http.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.text == house.http.get("/ui/").text


def test_the_address_without_its_slash_leads_to_the_page(house: DaemonInProcess) -> None:
    assert house.http.get("/ui").headers["location"] == "/ui/"
    assert house.http.get("/", headers={"accept": "text/html,*/*;q=0.8"}).headers["location"] == "ui/"
    assert house.http.get("/").json()["links"]["page"] == "/ui/"


def test_the_files_that_the_document_names_are_kept_for_ever_and_compressed(house: DaemonInProcess) -> None:
    names = re.findall(r'(?:src|href)="\./(assets/[^"]+)"', house.http.get("/ui/").text)
    assert len(names) == 2  # a script and a style sheet
    for name in names:
        answer = house.http.get(f"/ui/{name}")
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["content-encoding"] == "gzip"
        plain = house.http.get(f"/ui/{name}", headers={"accept-encoding": "identity"})
        assert "content-encoding" not in plain.headers
        assert plain.content == answer.content


@pytest.mark.parametrize("name", ["no-such.js", "..%2f..%2fserve.py", "%2e%2e/index.html"])
def test_other_files_are_not_served(house: DaemonInProcess, name: str) -> None:
    answer = house.http.get(f"/ui/assets/{name}")
    assert answer.status_code == 404 or answer.headers["content-type"].startswith("text/html")
    assert "importlib" not in answer.text


def test_the_page_may_load_nothing_but_its_own_files_and_nobody_may_frame_it(house: DaemonInProcess) -> None:
    policy = house.http.get("/ui/").headers["content-security-policy"]
    assert "unsafe" not in policy
    for part in (
        "default-src 'none'",
        "script-src 'self'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    ):
        assert part in policy


def push(house: DaemonInProcess, number: int) -> None:
    house.http.post("/hooks/push", json={"id": f"e{number}"}).raise_for_status()


def hints(stream: httpx.Response) -> Iterator[dict[str, object]]:
    for line in stream.iter_lines():
        if line.startswith("data: "):
            yield orjson.loads(line.removeprefix("data: "))


def test_listeners_are_told_which_rules_and_runs_changed(house: DaemonInProcess) -> None:
    with house.http.stream("GET", "/api/v1/changes") as first, house.http.stream("GET", "/api/v1/changes") as second:
        assert first.headers["content-type"].startswith("text/event-stream")
        push(house, 0)
        told = hints(first), hints(second)
        pushing = threading.Thread(
            target=lambda: [push(house, number) for number in range(1, 200) if not done.wait(0.1)]
        )
        done = threading.Event()
        pushing.start()
        try:
            for each in told:
                hint = next(hint for hint in each if hint["runs"])
                assert (hint["rules"], hint["everything"]) == (["churn"], False)
        finally:
            done.set()
            pushing.join()


def test_streams_end_at_once_when_the_service_stops(tmp_path: Path) -> None:
    house = DaemonInProcess(tmp_path, RULES, TRAIN)
    with closing(house.http), house.http.stream("GET", "/api/v1/changes") as stream:
        lines = stream.iter_lines()
        assert next(lines) == "retry: 2000"
        stopping = threading.Thread(target=house.app.stop)
        before = time.monotonic()
        stopping.start()
        assert [line for line in lines if line] == []
        assert time.monotonic() - before < 4  # a graceful shutdown would wait five seconds for it
        stopping.join()


TEAM = """
http:
  port: 0
  tokens:
    - {name: ops, token: {from_file: ops}, verbs: [read, act, administer], namespaces: all}
    - {name: risk, token: {from_file: risk}, verbs: [read], namespaces: [risk]}
"""


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[DaemonInProcess]:
    for name in ("ops", "risk"):
        (tmp_path / name).write_text(f"secret-of-{name}")
    settings = SETTINGS.replace("http: {port: 0}\n", TEAM.replace("from_file: ", f"from_file: {tmp_path}/"))
    house = DaemonInProcess(tmp_path, RULES, TRAIN, settings=settings)
    yield house
    house.close()


def sign_in(house: DaemonInProcess, token: str, origin: str = "") -> httpx.Response:
    headers = {"authorization": f"Bearer {token}"} | ({"origin": origin} if origin else {})
    return house.http.post("/-/session", headers=headers)


def test_a_token_is_sent_once_and_a_cookie_stands_for_it(guarded: DaemonInProcess) -> None:
    assert guarded.http.get("/api/v1/rules").status_code == 401
    answer = sign_in(guarded, "secret-of-ops")
    assert answer.json() == {
        "name": "ops",
        "verbs": ["act", "administer", "read"],
        "namespaces": None,
        "user": "",
        "instance": "retrainer",
    }
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Secure" not in cookie
    assert "secret-of-ops" not in cookie
    assert guarded.http.get("/api/v1/rules").status_code == 200
    assert guarded.http.post("/api/v1/rules/churn/pause").status_code == 200
    (act,) = [a for a in guarded.http.get("/api/v1/activity").json()["items"] if a["act"] == "pause"]
    assert act["by"] == "ops"


def test_who_has_sent_no_token_may_only_ask_who_that_is(guarded: DaemonInProcess) -> None:
    answer = guarded.http.get("/-/session")
    assert (answer.json()["name"], answer.json()["verbs"]) == ("", [])
    for method, path in (("GET", "/api/v1/status"), ("POST", "/-/session"), ("DELETE", "/-/session")):
        assert guarded.http.request(method, path).status_code == 401
    wrong = guarded.http.get("/-/session", headers={"authorization": "Bearer wrong"})
    assert wrong.status_code == 401


def test_a_session_permits_what_its_token_permits(guarded: DaemonInProcess) -> None:
    assert sign_in(guarded, "secret-of-risk").json()["verbs"] == ["read"]
    assert guarded.http.get("/api/v1/rules").json()["items"] == []  # churn is of another namespace
    assert guarded.http.post("/api/v1/rules/churn/pause").status_code == 403


def test_a_session_ends_when_it_is_ended_or_its_token_is_rotated(guarded: DaemonInProcess) -> None:
    sign_in(guarded, "secret-of-ops")
    kept = dict(guarded.http.cookies)
    assert guarded.http.delete("/-/session").status_code == 204
    assert guarded.http.get("/-/session").json()["name"] == ""
    assert httpx.get(f"{guarded.app.web.url}/api/v1/rules", cookies=kept, trust_env=False).status_code == 200
    (guarded.folder / "ops").write_text("another-secret")
    answer = httpx.get(f"{guarded.app.web.url}/api/v1/rules", cookies=kept, trust_env=False)
    assert answer.status_code == 401
    assert answer.json()["detail"] == "the session has ended, or its token was rotated: sign in again"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda value: value.replace("risk~", "ops~"), id="the name of another token"),
        pytest.param(lambda value: value[:-1] + ("A" if value[-1] != "A" else "B"), id="another signature"),
        pytest.param(
            lambda value: f"risk~{int(value.split('~')[1]) - 50_000}~{value.split('~')[2]}", id="another time"
        ),
        pytest.param(lambda _: "nonsense", id="no session at all"),
    ],
)
def test_a_cookie_that_was_changed_is_worth_nothing(guarded: DaemonInProcess, change: Callable[[str], str]) -> None:
    sign_in(guarded, "secret-of-risk")
    (name,) = guarded.http.cookies
    forged = {name: change(guarded.http.cookies[name])}
    assert httpx.get(f"{guarded.app.web.url}/api/v1/rules", cookies=forged, trust_env=False).status_code == 401
    assert httpx.get(f"{guarded.app.web.url}/-/session", cookies=forged, trust_env=False).json()["name"] == ""


def test_a_session_lasts_twelve_hours() -> None:
    begun = claimed({cookie_name("main"): begin("ops", b"digest", 1000.0)}, "main")
    assert begun is not None
    assert [begun.holds(b"digest", 1000.0 + after) for after in (-90, 0, 43199, 43200)] == [False, True, True, False]
    assert not begun.holds(b"other", 1000.0)


def test_the_cookie_is_for_tls_only_where_the_page_came_by_tls(guarded: DaemonInProcess) -> None:
    host = guarded.app.web.url.removeprefix("http://")
    assert "Secure" in sign_in(guarded, "secret-of-ops", f"https://{host}").headers["set-cookie"]


def test_pages_of_other_origins_can_use_no_session(guarded: DaemonInProcess) -> None:
    sign_in(guarded, "secret-of-ops")
    answer = guarded.http.post("/api/v1/rules/churn/pause", headers={"origin": "https://evil.example"})
    assert answer.status_code == 403


def test_a_daemon_without_tokens_needs_no_session(house: DaemonInProcess) -> None:
    answer = house.http.post("/-/session")
    assert answer.json()["name"] == "anonymous"
    assert "set-cookie" not in answer.headers
