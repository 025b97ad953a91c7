"""PURE: which volumes of a template are folders of this machine."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from retrainer.workflows.local.places import LONGEST, clean
from retrainer.workflows.local.tags import scalar, substitute

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from retrainer.workflows.local.pod import Pod


def claims(spec: Mapping[str, Any]) -> list[str]:
    """Return the volumes that all pods of a run share: those of its `volumeClaimTemplates`."""
    return [item["metadata"]["name"] for item in spec.get("volumeClaimTemplates") or ()]


def mounts(template: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the volume mounts of the container or script of a template."""
    what = template.get("container") or template.get("script") or {}
    return list(what.get("volumeMounts") or ())


def folders(pod: Pod, shared: Iterable[str], run: Path) -> dict[str, Path]:
    """Return the folder of each mount path: of the run if the volume is `shared`, else of the pod, as `emptyDir`.

    Raise ValueError if a value makes a path an impossible one.
    """
    where = {name: run / "volumes" / name for name in shared}
    found = {}
    for mount in mounts(pod.template):
        path, part = (substitute(scalar(mount.get(name, "")), pod.values) for name in ("mountPath", "subPath"))
        if ".." in PurePosixPath(part).parts:
            raise ValueError(f"the subPath {part[:LONGEST]!r} leads out of the volume {mount['name']}")
        found[clean(path)] = where.get(mount["name"], pod.folder / "volumes" / mount["name"]) / part.lstrip("/")
    return found
