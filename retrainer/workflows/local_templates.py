"""The folder of WorkflowTemplate manifests, read anew whenever it is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from retrainer.workflows.base import Template
from retrainer.workflows.local_tags import scalar
from retrainer.workflows.local_template import inputs, unsupported

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

Manifest = dict[str, Any]


def find(folder: Path, name: str, namespace: str, *, cluster: bool) -> Manifest | None:
    """Find a template as a namespace sees it; one without a namespace of its own is in all of them."""
    wanted = "ClusterWorkflowTemplate" if cluster else "WorkflowTemplate"
    for manifest in _manifests(folder):
        metadata = manifest.get("metadata") or {}
        seen = cluster or metadata.get("namespace", namespace) == namespace
        if seen and manifest["kind"] == wanted and metadata.get("name") == name:
            return manifest
    return None


def describe(name: str, manifest: Mapping[str, Any]) -> Template:
    arguments = (manifest.get("spec") or {}).get("arguments") or {}
    allowed = {item["name"]: item["enum"] for item in arguments.get("parameters") or () if item.get("enum")}
    return Template(name, inputs(arguments), {key: tuple(scalar(one) for one in enum) for key, enum in allowed.items()})


def problems(folder: Path) -> list[str]:
    """Say what is wrong with the folder and what the local engine cannot run of it: file, field path, way out."""
    if not folder.is_dir():
        return [f"there is no folder {folder}: make it, or correct `engine.templates`"]
    found = []
    for path in _files(folder):
        try:
            manifests = _read(path)
        except (OSError, UnicodeDecodeError, YAMLError) as error:
            found.append(f"{path}: cannot be read: {error}")
            continue
        for manifest in manifests:
            found += [f"{path}: {where}: {what}" for where, what in unsupported(manifest)]
    return found


def _manifests(folder: Path) -> Iterator[Manifest]:
    for path in _files(folder):
        try:
            yield from _read(path)
        except (OSError, UnicodeDecodeError, YAMLError):
            continue  # one broken file does not hide the others; `problems` names it


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix in (".yaml", ".yml") and path.is_file())


def _read(path: Path) -> list[Manifest]:
    kinds = ("WorkflowTemplate", "ClusterWorkflowTemplate")
    documents = YAML(typ="safe", pure=True).load_all(path.read_text(encoding="utf-8"))
    return [one for one in documents if isinstance(one, dict) and one.get("kind") in kinds]
