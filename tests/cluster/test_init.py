"""`retrainer init --argo` on the cluster: the generated files pass their checks and train a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from retrainer.cli.main import main
from tests.houses.daemon import ProjectDaemon

from .conftest import KUBECONFIG, kubectl, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ON_THE_NODE = "image: localhost/python:3.11\n        imagePullPolicy: Never"
"""The nodes of this cluster cannot pull images."""


@pytest.fixture
def project(namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The generated folder with the usual changes: another namespace, a free port, an available image."""
    monkeypatch.setenv("KUBECONFIG", str(KUBECONFIG))
    folder = tmp_path / "project"
    assert CliRunner().invoke(main, ["init", "--argo", str(folder)]).exit_code == 0
    changes = {
        "retrainer.yaml": {"namespaces: [default]": f"namespaces: [{namespace}]", "port: 8080": "port: 0"},
        "templates/churn-train.yaml": {"image: python:3.11-slim": ON_THE_NODE},
    }
    for name, words in changes.items():
        text = (folder / name).read_text()
        for old, new in words.items():
            assert old in text
            text = text.replace(old, new)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def daemon(project: Path, namespace: str) -> Iterator[ProjectDaemon]:
    """A daemon that is ready, with its templates in the cluster."""
    kubectl("-n", namespace, "apply", "-f", str(project / "templates"))
    daemon = ProjectDaemon(project)
    daemon.start()
    yield daemon
    daemon.close()


def test_the_rule_fits_the_templates_on_the_cluster(project: Path, namespace: str) -> None:
    missing = CliRunner().invoke(main, ["validate", "--cluster", str(project)])
    assert f"there is no template churn-train in namespace {namespace}" in missing.output
    kubectl("-n", namespace, "apply", "-f", str(project / "templates"))
    assert CliRunner().invoke(main, ["validate", "--cluster", str(project)]).output.endswith(" is valid: 1 rule\n")


def test_reported_rows_train_a_model(daemon: ProjectDaemon) -> None:
    daemon.http.post("/hooks/customers", json={"rows": 120}).raise_for_status()
    run = until(daemon.first_run, 120, every=0.5)
    assert run["phase"] == "SUCCEEDED", run
    assert run["outputs"]["rows"] == 200
    assert run["outputs"]["accuracy"] > 0.7
    assert {line["level"] for line in daemon.lines()} == {"info"}, daemon.said()
