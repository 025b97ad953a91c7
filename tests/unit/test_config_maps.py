"""Rules from ConfigMaps, and the watch that follows them, with a simulated API server."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from retrainer.config.settings import ArgoEngine, Http, Settings, Store
from retrainer.config.settings import ConfigMaps as Wanted
from retrainer.config.teams import team_file
from retrainer.daemon.app import build
from retrainer.daemon.config_maps import ConfigMaps, contents
from retrainer.store.base import StoreBusyError
from tests.unit.kubeconfig import kubeconfig
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from retrainer.daemon.lifecycle import Daemon


def item(name: str, **data: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "data": {key.replace("_yaml", ".yaml"): text for key, text in data.items()}}


@pytest.mark.parametrize(
    ("items", "files", "problems"),
    [
        pytest.param([], [], [], id="none"),
        pytest.param([item("a", x_yaml="1", y_yaml="2")], ["a/x.yaml", "a/y.yaml"], [], id="several keys"),
        pytest.param([item("a", x_yaml="1", x_test_yaml="2")], ["a/x.yaml"], [], id="tests of rules are none"),
        pytest.param([item("a", rules="1")], [], ["configmap:team/a"], id="no key that is a rule file"),
        pytest.param([{"metadata": {"name": "a"}}], [], ["configmap:team/a"], id="empty"),
    ],
)
def test_the_rule_files_of_config_maps(items: list[Any], files: list[str], problems: list[str]) -> None:
    found = contents("team", items)
    assert [file.removeprefix(team_file("team") + "/") for file in found.texts] == files
    assert [problem.file for problem in found.problems] == problems


class Server(http.server.ThreadingHTTPServer):
    """Lists `items`, or answers with `status`. A watch sends an event once `rung` is set."""

    daemon_threads = True

    def __init__(self) -> None:
        self.items = [item("churn", rules_yaml="one")]
        self.status = 200
        self.rung = threading.Event()
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        if "/configmaps" not in self.path:
            self._answer(404, {"kind": "Status", "message": "only ConfigMaps are here"})
            return
        if "watch=1" in self.path:
            self._watched()
        elif self.server.status == 200:
            self._answer(200, {"metadata": {"resourceVersion": "7"}, "items": self.server.items})
        else:
            self._answer(self.server.status, {"kind": "Status", "message": "you may not list configmaps in team"})

    def _watched(self) -> None:
        """The response head is sent at once, as by the API server."""
        self.send_response(200)
        self.end_headers()
        self.wfile.flush()
        self.server.rung.wait(30)
        self.server.rung.clear()
        with contextlib.suppress(OSError):  # the client has disconnected
            self.wfile.write(b'{"type": "MODIFIED", "object": {}}\n')

    def _answer(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as played:
        thread = threading.Thread(target=played.serve_forever)
        thread.start()
        yield played
        played.rung.set()
        played.shutdown()
        thread.join()


@pytest.fixture
def settings(server: Server, tmp_path: Path) -> Settings:
    engine = ArgoEngine(type="argo", namespaces=["team"], kubeconfig=kubeconfig(tmp_path, server.server_port))
    store = Store(path=str(tmp_path / "store.db"))
    wanted = Wanted(namespaces=["team"])
    return Settings(
        version=1, name="main", rules=[str(tmp_path)], engine=engine, config_maps=wanted, store=store, http=Http(port=0)
    )


@pytest.fixture
def config_maps(server: Server, settings: Settings) -> Iterator[ConfigMaps]:
    followed = ConfigMaps(settings)
    yield followed
    server.rung.set()
    followed.stop()


@pytest.fixture
def app(server: Server, settings: Settings, tmp_path: Path) -> Iterator[Daemon]:
    made = build(settings, tmp_path)
    made.start()
    yield made
    server.rung.set()
    made.stop()


def texts(config_maps: ConfigMaps) -> list[str]:
    return list(config_maps.files.texts.values())


def test_they_are_chosen_by_the_label_of_this_instance(server: Server, config_maps: ConfigMaps) -> None:
    config_maps.read()
    assert texts(config_maps) == ["one"]
    assert server.asked == ["/api/v1/namespaces/team/configmaps?labelSelector=retrainer.dev/rules%3Dmain"]


def test_a_change_is_told(server: Server, config_maps: ConfigMaps) -> None:
    config_maps.read()
    changed = threading.Event()
    config_maps.start(changed.set)
    server.items = [item("churn", rules_yaml="two")]
    server.rung.set()
    assert changed.wait(30)
    assert texts(config_maps) == ["two"]


@pytest.mark.parametrize(
    "error",
    [pytest.param(StoreBusyError("locked"), id="the store is busy"), pytest.param(OverflowError(), id="anything else")],
)
def test_a_change_that_could_not_be_taken_over_is_told_again(
    server: Server, config_maps: ConfigMaps, error: Exception
) -> None:
    config_maps.read()
    told: list[list[str]] = []
    taken = threading.Event()

    def changed() -> None:
        told.append(texts(config_maps))
        if len(told) < 3:
            raise error
        taken.set()

    config_maps.start(changed)
    server.items = [item("churn", rules_yaml="two")]
    server.rung.set()
    assert taken.wait(30)
    assert told == [["two"]] * 3


def test_an_answer_that_cannot_be_read_is_asked_for_again(server: Server, config_maps: ConfigMaps) -> None:
    config_maps.read()
    changed = threading.Event()
    config_maps.start(changed.set)
    server.items = [{"metadata": None}]
    asked = len(server.asked)
    server.rung.set()
    until(lambda: len(server.asked) > asked + 1, "asked again")
    server.items = [item("churn", rules_yaml="two")]
    assert changed.wait(30)
    assert texts(config_maps) == ["two"]


def test_a_namespace_that_was_never_read_is_a_problem_that_ends(server: Server, config_maps: ConfigMaps) -> None:
    server.status = 503
    config_maps.read()
    (problem,) = config_maps.files.problems
    assert problem.file == "configmap:team"
    server.status = 200
    config_maps.read()
    assert config_maps.files.problems == ()


@pytest.mark.parametrize(
    ("status", "problems"),
    [
        pytest.param(503, 0, id="away for a while: what was read stays, and nobody is alarmed"),
        pytest.param(403, 1, id="rights taken away: what was read stays, and it is said"),
    ],
)
def test_what_was_read_stays(server: Server, config_maps: ConfigMaps, status: int, problems: int) -> None:
    config_maps.read()
    server.status = status
    config_maps.read()
    assert texts(config_maps) == ["one"]
    assert len(config_maps.files.problems) == problems


def test_whoever_asks_for_a_reload_has_them_listed_anew(server: Server, app: Daemon) -> None:
    """A reload lists again, because a proxy may have dropped the watch silently."""
    server.items = [item("churn", rules_yaml="version: 1\nrule: []\n")]
    (problem,) = app.reload.everything()["problems"]
    assert problem.startswith("configmap:team/churn/rules.yaml:2:")
