"""The folder of WorkflowTemplate manifests. It is read again for each call."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from retrainer.util.regular_files import UnreadableFileError, read_settled
from retrainer.workflows.base import Refused, Template
from retrainer.workflows.local.fields import ARGUMENTS
from retrainer.workflows.local.known_tags import some
from retrainer.workflows.local.sections import inputs
from retrainer.workflows.local.shapes import misshapen
from retrainer.workflows.local.tags import scalar
from retrainer.workflows.local.template import NO_EFFECT, NO_ENTRYPOINT, unsupported, unused
from retrainer.workflows.local.yaml import UnreadableYamlError, read_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

Manifest = dict[str, Any]
LARGEST = 4 * 2**20
"""Bytes of a file: etcd takes a manifest of 1.5 MiB."""
MOST_FILES = 1000
DEEPEST = 16
_KINDS = ("WorkflowTemplate", "ClusterWorkflowTemplate")


class _UnreadableError(Exception):
    """A file of the folder cannot be read. The message says why."""


def find(folder: Path, name: str, namespace: str, *, cluster: bool) -> Manifest | None:
    """Return the template for a namespace. One without a namespace applies to all."""
    wanted = _kind(cluster=cluster)
    for manifest in _manifests(folder):
        metadata = manifest["metadata"]
        seen = cluster or metadata.get("namespace", namespace) == namespace
        if seen and manifest["kind"] == wanted and metadata.get("name") == name:
            return manifest
    return None


def describe(name: str, manifest: Mapping[str, Any]) -> Template:
    """Return the parameters of a template. Raise Refused if they are invalid, or if it can only be used by others."""
    spec = manifest.get("spec")
    if isinstance(spec, dict) and "templates" in spec and "entrypoint" not in spec:
        raise Refused(f"template {name}: spec.entrypoint {NO_ENTRYPOINT}", code="invalid")
    arguments = (spec.get("arguments") if isinstance(spec, dict) else None) or {}
    for where, what in misshapen(arguments, ARGUMENTS, "spec.arguments"):
        raise Refused(f"template {name}: {where} {what}", code="invalid")
    allowed = {item["name"]: item["enum"] for item in arguments.get("parameters") or () if item.get("enum")}
    return Template(name, inputs(arguments), {key: tuple(map(scalar, enum)) for key, enum in allowed.items()})


def problems(folder: Path) -> list[str]:
    """Return what is wrong with the folder, and what the local engine cannot run: file, field path, remedy."""
    if not folder.is_dir():
        return [f"there is no folder {folder}: create it, or correct `engine.templates`"]
    files, left_out = _files(folder)
    found: list[str] = []
    documents: list[tuple[str, Manifest]] = []
    for path in files:
        try:
            documents += [(path, manifest) for manifest in _read(path)]
        except _UnreadableError as error:
            found.append(f"{path}: cannot be read: {error}")
    find = _finder([manifest for _, manifest in documents])
    for path, manifest in documents:
        wrong = [*_nameless(manifest), *unsupported(manifest, find)]
        found += [f"{path}: {where}: {what}" for where, what in wrong]
    return sorted(found) + left_out


def _finder(manifests: list[Manifest]) -> Callable[[Mapping[str, Any]], Mapping[str, Any] | None]:
    """Return a function that returns the spec of one of the manifests that a `templateRef` means."""
    specs = {
        (one["kind"], one["metadata"]["name"]): one["spec"]
        for one in manifests
        if not _nameless(one) and isinstance(one.get("spec"), dict)
    }

    def find(reference: Mapping[str, Any]) -> Mapping[str, Any] | None:
        return specs.get((_kind(cluster=bool(reference.get("clusterScope"))), reference["name"]))

    return find


def _kind(*, cluster: bool) -> str:
    return "ClusterWorkflowTemplate" if cluster else "WorkflowTemplate"


def notes(folder: Path) -> list[str]:
    """Return for each template of the folder that can be run which of its fields have no effect on this machine."""
    return [note for path in _files(folder)[0] for note in _notes(path)]


def _notes(path: str) -> Iterator[str]:
    with suppress(_UnreadableError):
        for manifest in _read(path):
            if not _nameless(manifest) and not unsupported(manifest) and (fields := unused(manifest)):
                yield f"{path}: {manifest['metadata']['name']}: {NO_EFFECT}: {some(fields)}"


def _nameless(manifest: Manifest) -> list[tuple[str, str]]:
    metadata = manifest.get("metadata")
    if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
        return [("metadata", "is not a map with a `name`, so nothing can refer to it")]
    return []


def _manifests(folder: Path) -> Iterator[Manifest]:
    for path in _files(folder)[0]:
        try:
            documents = _read(path)
        except _UnreadableError:
            continue  # one broken file does not hide the others; `problems` reports it
        yield from (manifest for manifest in documents if not _nameless(manifest))


def _files(folder: Path) -> tuple[list[str], list[str]]:
    """Return the files, readable or not, and a message about skipped ones. Links to folders are not followed."""
    files: list[str] = []
    for where, folders, names in os.walk(folder):
        folders.sort()
        if where.count(os.sep) - str(folder).count(os.sep) >= DEEPEST:
            folders.clear()
        files += [os.path.join(where, name) for name in names if name.endswith((".yaml", ".yml"))]  # noqa: PTH118
        if len(files) > MOST_FILES:
            return sorted(files)[:MOST_FILES], [f"{folder}: more than {MOST_FILES} files: the others are not read"]
    return sorted(files), []


def _read(path: str) -> list[Manifest]:
    """Return the manifests of a file. Raise _UnreadableError."""
    try:
        documents = read_all(read_settled(path, LARGEST).decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise _UnreadableError("it is not UTF-8") from None
    except (UnreadableFileError, UnreadableYamlError) as error:
        raise _UnreadableError(str(error)) from None
    return [one for one in documents if isinstance(one, dict) and one.get("kind") in _KINDS]
