"""`retrainer init --argo` on the cluster: the generated files pass their checks and train a model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from click.testing import CliRunner

from retrainer.cli.main import main

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
def url(project: Path, namespace: str) -> Iterator[str]:
    """The daemon's address, once its templates are in the cluster and it is ready."""
    kubectl("-n", namespace, "apply", "-f", str(project / "templates"))
    command = [sys.executable, "-m", "retrainer.cli.main", "run"]
    with (project / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=project, stdout=log, stderr=log, env=os.environ.copy())
    yield until(lambda: _said(project, "daemon.ready"))[0]["url"]
    process.terminate()
    process.wait(60)


def _said(project: Path, event: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (project / "log").read_text().splitlines()]
    return [line for line in lines if line["event"] == event]


def test_the_rule_fits_the_templates_on_the_cluster(project: Path, namespace: str) -> None:
    missing = CliRunner().invoke(main, ["validate", "--cluster", str(project)])
    assert f"there is no template churn-train in namespace {namespace}" in missing.output
    kubectl("-n", namespace, "apply", "-f", str(project / "templates"))
    assert CliRunner().invoke(main, ["validate", "--cluster", str(project)]).output.endswith(" is valid: 1 rule\n")


def test_reported_rows_train_a_model(project: Path, url: str) -> None:
    httpx.post(f"{url}/hooks/customers", json={"rows": 120}, trust_env=False).raise_for_status()
    run = until(lambda: _ended(url), 120, every=0.5)
    assert run["phase"] == "SUCCEEDED", run
    assert run["outputs"]["rows"] == 200
    assert run["outputs"]["accuracy"] > 0.7
    levels = {json.loads(line)["level"] for line in (project / "log").read_text().splitlines()}
    assert levels == {"info"}, (project / "log").read_text()


def _ended(url: str) -> dict[str, Any] | None:
    runs: list[dict[str, Any]] = httpx.get(f"{url}/api/v1/runs", trust_env=False).json()["items"]
    return next((run for run in runs if run["ended_at"] is not None), None)
