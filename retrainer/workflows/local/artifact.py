"""PURE: what an artifact is, and which one an entry of a template stands for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from retrainer.workflows.local.tags import scalar, substitute, tags

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Artifact:
    """What a step left, or a text of the workflow. ``path``: where it is kept; ``archive``: none, tar or zip.

    ``sub_path``: the part of it that is meant.
    """

    path: Path | None = None
    text: str = ""
    archive: str = "tar"
    sub_path: str = ""


def archive_of(item: Mapping[str, Any]) -> str:
    """Return the form in which Argo keeps an artifact: none, tar or zip."""
    return next((form for form in ("none", "zip") if form in (item.get("archive") or {})), "tar")


def given(item: Mapping[str, Any], known: Mapping[str, object], values: Mapping[str, str]) -> Artifact | None:
    """Return what an entry of `arguments`, `inputs` or `outputs` stands for; None if it stands for nothing.

    ``known``: the artifacts that tags such as `tasks.a.outputs.artifacts.x` name. Raise TagError.
    """
    if "raw" in item:
        return Artifact(text=substitute(scalar(item["raw"]["data"]), values), archive="none")
    found = known.get(next(iter(tags(item.get("from", ""))), ""))
    if not isinstance(found, Artifact):
        return None
    return replace(found, sub_path=substitute(scalar(item.get("subPath", found.sub_path)), values))
