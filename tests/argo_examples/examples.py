"""The examples in Argo Workflows' Go module, and each as a person would try it on the local engine."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from retrainer.workflows.local.yaml import UnreadableYamlError, read_all

ROOT = Path(__file__).parents[2]
MODULE = "github.com/argoproj/argo-workflows/v4"
NAMESPACE = "examples"
_TEMPLATES = ("WorkflowTemplate", "ClusterWorkflowTemplate")
_RUNNABLE = (*_TEMPLATES, "Workflow", "CronWorkflow")


@dataclass(slots=True)
class Example:
    """A file of the folder. ``templates``: manifests for the engine; ``runs``: the specs of the Workflows to create.

    ``unreadable``: why the local engine cannot read it; ``unreadable_specs``: what another parser makes of it.
    """

    name: str
    templates: list[dict[str, Any]] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    unreadable: str = ""
    unreadable_specs: list[dict[str, Any]] = field(default_factory=list)

    @property
    def specs(self) -> list[dict[str, Any]]:
        return [template["spec"] for template in self.templates]


def version() -> str:
    """Return the version of Argo Workflows that the cluster of the tests runs."""
    script = (ROOT / "tests/cluster/cluster.sh").read_text()
    return re.search(r"\bARGO=(v[\d.]+)", script)[1]  # type: ignore[index]


def folder() -> Path:
    """Return the folder of the examples, fetched into Go's module cache if it is not there."""
    with tempfile.TemporaryDirectory() as away:  # outside of any module of its own
        fetch = ["go", "mod", "download", "-json", f"{MODULE}@{version()}"]
        answer = subprocess.run(fetch, cwd=away, capture_output=True, check=True, text=True)
    return Path(json.loads(answer.stdout)["Dir"]) / "examples"


def examples(where: Path) -> list[Example]:
    return [_read(path, str(path.relative_to(where))) for path in sorted(where.rglob("*.yaml"))]


def _read(path: Path, name: str) -> Example:
    example = Example(name)
    try:
        documents = read_all(path.read_text())
    except UnreadableYamlError as error:
        example.unreadable = str(error)
        example.unreadable_specs = [one["spec"] for one in yaml.safe_load_all(path.read_text())]
        return example
    for number, document in enumerate(one for one in documents if isinstance(one, dict)):
        if document.get("kind") in _RUNNABLE:
            _add(example, document, f"example-{number}")
        else:
            example.others.append(str(document.get("kind")))
    return example


def _add(example: Example, document: dict[str, Any], name: str) -> None:
    """Turn a Workflow and the one in a CronWorkflow into a template, unless it refers to one itself."""
    spec = document["spec"]
    if document["kind"] in _TEMPLATES:
        example.templates.append(document)
        cluster = document["kind"] == "ClusterWorkflowTemplate"
        if spec.get("entrypoint"):
            example.runs.append(_reference(document["metadata"]["name"], cluster=cluster))
        return
    if document["kind"] == "CronWorkflow":
        spec = spec["workflowSpec"]
    if "workflowTemplateRef" in spec:
        example.runs.append(spec)
        return
    manifest = {"apiVersion": document["apiVersion"], "kind": "WorkflowTemplate"}
    metadata = {key: document["metadata"][key] for key in ("labels", "annotations") if key in document["metadata"]}
    example.templates.append({**manifest, "metadata": {**metadata, "name": name}, "spec": spec})
    example.runs.append(_reference(name, cluster=False))


def _reference(name: str, *, cluster: bool) -> dict[str, Any]:
    return {"workflowTemplateRef": {"name": name, **({"clusterScope": True} if cluster else {})}}


def text(example: Example) -> str:
    return yaml.safe_dump_all(example.templates, sort_keys=False)
