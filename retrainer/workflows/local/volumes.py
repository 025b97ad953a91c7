"""PURE: which volumes of a template are folders of this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retrainer.workflows.local.places import clean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


def claims(spec: Mapping[str, Any]) -> list[str]:
    """Return the volumes that all pods of a run share: those of its `volumeClaimTemplates`."""
    return [item["metadata"]["name"] for item in spec.get("volumeClaimTemplates") or ()]


def mounts(template: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the volume mounts of the container or script of a template."""
    what = template.get("container") or template.get("script") or {}
    return list(what.get("volumeMounts") or ())


def folders(template: Mapping[str, Any], shared: Iterable[str], run: Path, pod: Path) -> dict[str, Path]:
    """Return the folder of each mount path: of the run if the volume is `shared`, else of the pod, as `emptyDir`."""
    where = {name: run / "volumes" / name for name in shared}
    return {
        clean(mount["mountPath"]): where.get(mount["name"], pod / "volumes" / mount["name"])
        / str(mount.get("subPath", "")).lstrip("/")
        for mount in mounts(template)
    }
