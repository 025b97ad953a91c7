"""PURE: what is wrong with the files of a container or script: artifacts, output files and volumes."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from retrainer.workflows.local.known_tags import some
from retrainer.workflows.local.places import path_flaw
from retrainer.workflows.local.volumes import claims, mounts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from retrainer.workflows.local.shapes import Problem

_HIGHEST_MODE = 0o777


def known_volumes(spec: Mapping[str, Any]) -> frozenset[str] | None:
    """Return the volumes of a workflow; None if the templates are for other workflows, which have their own."""
    if "entrypoint" not in spec:
        return None
    return frozenset((*claims(spec), *(item["name"] for item in spec.get("volumes") or ())))


def check_files(template: Mapping[str, Any], volumes: frozenset[str] | None, path: str) -> Iterator[Problem]:
    """Yield what is wrong with the artifacts, output files and mounts of a container or script."""
    yield from check_volumes(template, path)
    known = {*(volumes or ()), *(item["name"] for item in template.get("volumes") or ())}
    what = "container" if "container" in template else "script"
    for index, mount in enumerate(mounts(template)):
        where = f"{path}.{what}.volumeMounts[{index}]"
        yield from _bad_path(mount["mountPath"], f"{where}.mountPath")
        if volumes is not None and mount["name"] not in known:
            yield f"{where}.name", f"there is no volume {mount['name']!r}; there are {some(sorted(known)) or 'none'}"
        if ".." in PurePosixPath(str(mount.get("subPath", ""))).parts:
            yield f"{where}.subPath", "leads out of the volume"
    for section in ("inputs", "outputs"):
        for index, item in enumerate((template.get(section) or {}).get("artifacts") or ()):
            yield from _artifact(item, f"{path}.{section}.artifacts[{index}]")
    for index, item in enumerate((template.get("outputs") or {}).get("parameters") or ()):
        where = f"{path}.outputs.parameters[{index}].valueFrom"
        if "path" in item["valueFrom"]:
            yield from _bad_path(item["valueFrom"]["path"], f"{where}.path")
        else:
            yield where, "needs a `path`: the file that the step writes"


def check_volumes(holder: Mapping[str, Any], path: str) -> Iterator[Problem]:
    """Yield the volumes of a spec or a template that are no folders of this machine."""
    for index, volume in enumerate(holder.get("volumes") or ()):
        if "emptyDir" not in volume:
            yield f"{path}.volumes[{index}]", "needs `emptyDir: {}`; the local engine has no other kind of volume"


def _artifact(item: Mapping[str, Any], path: str) -> Iterator[Problem]:
    if "path" not in item:
        yield f"{path}.path", "is needed: where the step has the file"
        return
    yield from _bad_path(item["path"], f"{path}.path")
    mode = item.get("mode", 0)
    if not 0 <= mode <= _HIGHEST_MODE:
        yield f"{path}.mode", f"must be between 0 and {_HIGHEST_MODE} (0777)"


def _bad_path(value: object, path: str) -> Iterator[Problem]:
    # What tags stand for shows when the step is to start.
    if not str(value).startswith("{{") and (why := path_flaw(str(value))):
        yield path, why
