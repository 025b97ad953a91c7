"""`retrainer finalizers release`: which finalizers it removes, and its errors."""

from __future__ import annotations

import http.server
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from retrainer.cli.main import main
from retrainer.workflows.argo import deployment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FINALIZER = "retrainer.dev/outcome"


def workflow(name: str, *finalizers: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "ml", "uid": f"uid-{name}", "finalizers": list(finalizers)}
    return {"metadata": metadata | {"resourceVersion": "1", "labels": {}, "annotations": {"retrainer.dev/run": "r"}}}


class Cluster(http.server.ThreadingHTTPServer):
    """Lists Workflows in pages of one and accepts patches. Requests to the namespace `closed` are refused.

    Its Deployment `daemon` has one pod, which ends once the pods have been listed `lives` times.
    """

    daemon_threads = True

    def __init__(self) -> None:
        self.workflows = [workflow("held", FINALIZER), workflow("free"), workflow("also", "other", FINALIZER)]
        self.patched: list[tuple[str, Any]] = []
        self.replicas, self.lives = 1, 2
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(http.server.BaseHTTPRequestHandler):
    server: Cluster

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if "/closed/" in path:
            message = "cannot list resource workflows in closed"
            self._answer(403, {"kind": "Status", "message": message, "reason": "Forbidden"})
        elif path.endswith("/pods"):
            assert "labelSelector=app%3Dx" in query
            self.server.lives -= self.server.replicas == 0
            self._answer(200, {"items": [{"metadata": {"name": "pod"}}] if self.server.lives >= 0 else []})
        elif path.endswith("/workflows"):
            at = int(query.partition("continue=")[2] or 0)
            more = str(at + 1) if at + 1 < len(self.server.workflows) else ""
            self._answer(200, {"metadata": {"continue": more}, "items": [self.server.workflows[at]]})
        else:
            name = path.rpartition("/")[2]
            self._answer(200, next(one for one in self.server.workflows if one["metadata"]["name"] == name))

    def do_PATCH(self) -> None:
        patch = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path.endswith("/scale"):
            self._scale(patch)
            return
        name = self.path.rpartition("/")[2]
        finalizers = next(one for one in self.server.workflows if one["metadata"]["name"] == name)["metadata"][
            "finalizers"
        ]
        place = int(patch[-1]["path"].rpartition("/")[2])
        if place < len(finalizers) and finalizers[place] == FINALIZER:
            self.server.patched.append((name, patch[0]["value"]))
            self._answer(200, {})
        else:
            self._answer(422, {"message": "the test failed", "reason": "Invalid"})

    def _scale(self, patch: dict[str, Any]) -> None:
        if "/deployments/daemon/" not in self.path:
            self._answer(404, {"kind": "Status", "message": "not found", "details": {"name": "gone"}})
            return
        assert self.server.patched == []
        self.server.replicas = patch["spec"]["replicas"]
        self._answer(200, {"status": {"selector": "app=x"}})

    def _answer(self, status: int, body: Any) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster() as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        clusters = [{"name": "t", "cluster": {"server": f"http://127.0.0.1:{served.server_port}"}}]
        contexts = [{"name": "t", "context": {"cluster": "t", "user": "t"}}]
        kubeconfig = {"clusters": clusters, "contexts": contexts, "users": [{"name": "t", "user": {}}]}
        (tmp_path / "kubeconfig").write_text(json.dumps(kubeconfig | {"current-context": "t"}))
        yield served
        served.shutdown()
        thread.join()


def call(tmp_path: Path, *arguments: str) -> Any:
    return CliRunner().invoke(main, ["finalizers", "release", "--kubeconfig", str(tmp_path / "kubeconfig"), *arguments])


def named(*namespaces: str) -> list[str]:
    return ["--instance", "main", *(word for name in namespaces for word in ("--namespace", name))]


def test_what_is_held_is_released_and_others_finalizers_stay(cluster: Cluster, tmp_path: Path) -> None:
    done = call(tmp_path, *named("ml"), "-o", "json")
    assert json.loads(done.stdout)["held"] == ["ml/held", "ml/also"]
    assert cluster.patched == [("held", "uid-held"), ("also", "uid-also")]
    assert done.exit_code == 0


def test_a_dry_run_changes_nothing(cluster: Cluster, tmp_path: Path) -> None:
    done = call(tmp_path, *named("ml"), "--dry-run")
    assert "2 would be released" in done.stdout
    assert cluster.patched == []


def test_it_is_done_as_the_settings_say(cluster: Cluster, tmp_path: Path) -> None:
    settings = "version: 1\nname: other\nengine: {type: argo, namespaces: [ml], kubeconfig: kubeconfig}\n"
    (tmp_path / "retrainer.yaml").write_text(settings)
    done = call(tmp_path, "--config", str(tmp_path / "retrainer.yaml"), "-o", "json")
    assert (json.loads(done.stdout)["instance"], len(cluster.patched)) == ("other", 2)


def test_a_namespace_that_refuses_does_not_keep_from_the_others(cluster: Cluster, tmp_path: Path) -> None:
    done = call(tmp_path, *named("closed", "ml"), "-o", "json")
    (failed,) = json.loads(done.stdout)["failed"]
    assert "closed" in failed
    assert (done.exit_code, len(cluster.patched)) == (1, 2)


def test_a_namespace_that_was_deleted_is_skipped_if_asked_for(cluster: Cluster, tmp_path: Path) -> None:
    done = call(tmp_path, *named("closed", "ml"), "--skip-forbidden", "-o", "json")
    answer = json.loads(done.stdout)
    assert (answer["failed"], len(answer["skipped"]), len(cluster.patched)) == ([], 1, 2)
    assert done.exit_code == 0
    assert "skipped namespace closed" in call(tmp_path, *named("closed"), "--skip-forbidden").stdout


@pytest.fixture
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployment.stop, "__kwdefaults__", {"pause": 0.001})


@pytest.mark.usefixtures("fast")
def test_the_daemon_is_stopped_before_anything_is_released(cluster: Cluster, tmp_path: Path) -> None:
    assert call(tmp_path, *named("ml"), "--stop", "ml/daemon").exit_code == 0
    assert (cluster.replicas, cluster.lives, len(cluster.patched)) == (0, -1, 2)


@pytest.mark.usefixtures("fast")
def test_nothing_is_released_while_a_pod_of_the_daemon_runs(cluster: Cluster, tmp_path: Path) -> None:
    cluster.lives = 10**6
    done = call(tmp_path, *named("ml"), "--stop", "ml/daemon")
    assert (done.exit_code, cluster.patched) == (1, [])
    assert "ml/daemon was not stopped: pods of app=x in ml still run" in done.output


@pytest.mark.parametrize(
    ("more", "code"),
    [
        pytest.param(["--stop", "ml/gone"], 0, id="a Deployment that is gone is stopped"),
        pytest.param(["--stop", "ml/daemon", "--dry-run"], 0, id="a dry run stops nothing"),
        pytest.param(["--stop", "daemon"], 2, id="no namespace is named"),
    ],
)
def test_the_daemon_keeps_running(cluster: Cluster, tmp_path: Path, more: list[str], code: int) -> None:
    assert call(tmp_path, *named("ml"), *more).exit_code == code
    assert cluster.replicas == 1


@pytest.mark.parametrize(
    ("settings", "code", "words"),
    [
        pytest.param(None, 2, "give either --config, or --instance and --namespace", id="nobody is named"),
        pytest.param("version: 1\nengine: {type: local, templates: t, runs: r}\n", 1, "has no finalizers", id="local"),
        pytest.param("version: 1\nengin: {}\n", 1, "is not valid", id="broken settings"),
    ],
)
def test_who_it_was_must_be_known(tmp_path: Path, settings: str | None, code: int, words: str) -> None:
    arguments = ["finalizers", "release"]
    if settings is not None:
        (tmp_path / "retrainer.yaml").write_text(settings)
        arguments += ["--config", str(tmp_path / "retrainer.yaml")]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == code
    assert words in done.output
