"""The files of a step: what it finds when it starts, and what is read and kept when it has ended."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from retrainer.workflows.local.artifact import Artifact, archive_of, given
from retrainer.workflows.local.artifacts import ArtifactBudget, BadArtifactError, copy, place
from retrainer.workflows.local.file_view import FileView
from retrainer.workflows.local.node import Outputs
from retrainer.workflows.local.outputs import OUTPUTS_LIMIT, BadOutputError, read_output
from retrainer.workflows.local.places import Places, clean, followed, within
from retrainer.workflows.local.sections import artifacts, parameters
from retrainer.workflows.local.tags import scalar, substitute
from retrainer.workflows.local.volumes import folders

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from retrainer.workflows.local.pod import Pod

_TMP = "/tmp"  # noqa: S108 - the step's own
_HERE = re.compile(rf"{_TMP}/[^\s'\"`;|&<>(){{}}\[\],]+")
MOST_SHOWN = 100
"""Paths in the values of a step of which it is looked up whether this machine has them."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What the steps of a run have in common. ``mounts``: whether each may have its own view of the files."""

    run: Path
    workdir: str
    mounts: bool
    shared_volumes: Sequence[str] = ()


class StepFiles:
    def __init__(self, pod: Pod, machine: Machine) -> None:
        self._pod = pod
        self._machine = machine
        self._inputs = artifacts(pod.template, "inputs")
        self._outputs = artifacts(pod.template, "outputs")
        self._budget = ArtifactBudget()
        own = folders(pod, machine.shared_volumes, machine.run)
        outer = {_TMP: pod.folder / "tmp"} | own
        files = frozenset(path for path in self._paths() if not any(within(path, one) for one in outer))
        seen = set(self._still_seen())
        mounted = frozenset(own for own in (*outer, *files) if machine.mounts and not any(within(x, own) for x in seen))
        files = frozenset(path if path in mounted else _first_missing(path) for path in files)
        self._places = Places(pod.folder / "root", outer, files, mounted)
        self._values = {**pod.values, **self._own_tags()}

    def text(self, text: object) -> str:
        """Return a text of the template with its values, and with the step's own paths as the step reaches them."""
        # The template's own paths first: a path in an input value refers to this machine.
        return substitute(self._places.text(scalar(text)), self._values)

    @property
    def tmp(self) -> str:
        """The `/tmp` of the step, as it reaches it."""
        return self._places.as_seen(_TMP)

    def prepare(self) -> None:
        """Make the step's own folders, and put its input artifacts there. Raise OSError or ValueError."""
        for folder in (self._places.root, *self._places.folders.values()):
            folder.mkdir(parents=True, exist_ok=True)
        for path in self._places.files - self._places.mounted:
            self._places.on_disk(path).parent.mkdir(parents=True, exist_ok=True)
        for item in self._inputs:
            passed = self._pod.artifacts.get(item["name"], item)
            artifact = passed if isinstance(passed, Artifact) else given(passed, {}, self._pod.values)
            if artifact is not None:
                self._place(artifact, item)
            elif not item.get("optional"):
                raise BadArtifactError(f"its input artifact {item['name']} is given by no task, and is not optional")

    def _place(self, artifact: Artifact, item: Mapping[str, Any]) -> None:
        try:
            place(artifact, item, self._places.on_disk(self._path(item)), self._budget)
        except (BadArtifactError, OSError) as error:
            raise BadArtifactError(f"its input artifact {item['name']} {error}") from error

    def view(self, workdir: str) -> FileView | None:
        """Return the file system that the step is to see; None if its texts were changed instead."""
        places = self._places
        if not places.mounted:
            return None
        mounted = {path: folder for path, folder in places.folders.items() if path in places.mounted}
        opened = frozenset(path for path in map(self._path, self._outputs) if self._is_shared(path))
        return FileView(places.root, mounted, (places.files & places.mounted) - opened, opened, workdir)

    def _is_shared(self, path: str) -> bool:
        """Return whether an output is a folder that this machine has, too: what it has there is seen, but not kept."""
        return path in self._places.files & self._places.mounted and os.path.isdir(path)  # noqa: PTH112 - a text

    def _still_seen(self) -> Iterator[str]:
        """Yield paths of this machine that the step has to see: nothing of its own may be mounted over them."""
        yield from (self._machine.workdir, str(self._machine.run), sys.prefix, sys.base_prefix, *os.get_exec_path())
        yield os.environ.get("HOME", "")
        for path in self._named():
            if os.path.exists(path):  # noqa: PTH110 - a text like the others
                yield path

    def collect(self) -> Outputs:
        """Return what a step left when it succeeded. Raise BadOutputError that names the invalid part."""
        found = {item["name"]: self._output(item) for item in parameters(self._pod.template, "outputs")}
        size = sum(len(text.encode()) for text in found.values())
        if size > OUTPUTS_LIMIT:
            sizes = f"they have {size:,} bytes together, of {OUTPUTS_LIMIT:,}"
            raise BadOutputError(f"an output parameter cannot be read: {sizes}: store large results elsewhere")
        kept = ((item["name"], self._kept(item)) for item in self._outputs)
        return Outputs(found, {name: artifact for name, artifact in kept if artifact is not None})

    def _paths(self) -> Iterator[str]:
        """Yield the paths of artifacts and outputs."""
        for item in (*self._inputs, *self._outputs):
            if "path" in item:
                yield self._path(item)
        for item in parameters(self._pod.template, "outputs"):
            if "path" in item["valueFrom"]:
                yield self._path(item["valueFrom"])

    def _path(self, item: Mapping[str, Any]) -> str:
        return clean(substitute(scalar(item["path"]), self._pod.values))

    def _own_tags(self) -> dict[str, str]:
        """Return the tags that name paths of the template itself."""
        tags = {f"inputs.artifacts.{item['name']}.path": item for item in self._inputs}
        tags |= {f"outputs.artifacts.{item['name']}.path": item for item in self._outputs}
        declared = parameters(self._pod.template, "outputs")
        tags |= {f"outputs.parameters.{item['name']}.path": item["valueFrom"] for item in declared}
        return {tag: self._places.as_seen(self._path(item)) for tag, item in tags.items() if "path" in item}

    def _named(self) -> Iterator[str]:
        """Yield the paths below this machine's `/tmp` that values of the step name."""
        named = (os.path.normpath(path) for value in self._pod.values.values() for path in _HERE.findall(value))
        yield from islice(dict.fromkeys(path for path in named if within(path, _TMP)), MOST_SHOWN)

    def _found(self, path: str) -> Path:
        """Return where a path of the step is, without links. Raise BadOutputError if it is none of the step's own."""
        if self._places.is_mounted(path):
            seen = followed(self._places, path)
            place = self._places.on_disk(seen)
            out = seen != path and not os.path.lexists(place) and os.path.lexists(seen)
        else:
            place = Path(os.path.realpath(self._places.on_disk(path)))
            own = (self._places.root, *self._places.folders.values())
            out = not any(place.is_relative_to(os.path.realpath(folder)) for folder in own)
        if out:
            raise BadOutputError("leads out of the step's own files: write the text itself into a file there")
        return place

    def _output(self, item: Mapping[str, Any]) -> str:
        value_from = item["valueFrom"]
        path = self._path(value_from)
        try:
            return read_output(self._found(path))
        except FileNotFoundError:
            if "default" not in value_from:
                raise BadOutputError(
                    f"an output parameter cannot be read: {item['name']}: there is no file {path}"
                ) from None
            return substitute(scalar(value_from["default"]), self._pod.values)
        except (BadOutputError, ValueError) as error:  # ValueError: a path that contains a NUL
            raise BadOutputError(f"an output parameter cannot be read: {item['name']}: {path} {error}") from error

    def _kept(self, item: Mapping[str, Any]) -> Artifact | None:
        """Copy an output artifact to where later steps take it from. Return None if an optional one is missing."""
        path, target = self._path(item), self._pod.folder / "artifacts" / item["name"]
        target.parent.mkdir(exist_ok=True)
        try:
            left_out = frozenset(os.listdir(path)) if self._is_shared(path) else frozenset()  # noqa: PTH208 - a text
            copy(self._found(path), target, self._budget, left_out)
        except FileNotFoundError:
            if item.get("optional"):
                return None
            why = f"there is no file or folder {path}"
        except (BadArtifactError, BadOutputError, OSError) as error:
            why = f"{path} {error}"
        else:
            return Artifact(target, archive=archive_of(item))
        raise BadOutputError(f"an output artifact cannot be kept: {item['name']}: {why}")


def _first_missing(path: str) -> str:
    """Return the first part of a path that this machine does not have; the path itself if it has all."""
    parts = [str(one) for one in (*reversed(PurePosixPath(path).parents), path)]
    return next((one for one in parts if not os.path.lexists(one)), path)
