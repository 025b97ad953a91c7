"""The page: how it is served, and how it is told of changes."""

from __future__ import annotations

import re
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING

import orjson
import pytest

from tests.houses.daemon_in_process import DaemonInProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

RULES = """
version: 1
sources: {push: {type: webhook, path: /hooks/push}}
rules:
  - name: churn
    triggers: {files: {data: {source: push, batch: {at_least: {events: 3}}}}}
    submit: {workflow_template: train}
"""
TRAIN = """
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: train}
spec: {entrypoint: main, templates: [{name: main, container: {image: x, command: ["true"]}}]}
"""


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
