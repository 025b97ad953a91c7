"""Artifacts as files of this machine: kept when the step that left them ends, copied to the steps that take them."""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from retrainer.util.regular_files import kind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from retrainer.workflows.local.artifact import Artifact

LARGEST = 1024**3
"""Bytes of the artifacts that a step takes, and of those that it leaves."""
MOST_FILES = 10_000
"""Files and folders in them."""


class BadArtifactError(ValueError):
    """The message says what is wrong with the artifact."""


@dataclass(slots=True)
class ArtifactBudget:
    """What may still be copied for one step."""

    size: int = field(default_factory=lambda: LARGEST)
    files: int = field(default_factory=lambda: MOST_FILES)

    def take(self, size: int) -> None:
        """Count one more file. Raise BadArtifactError if it is too much."""
        self.size -= size
        self.files -= 1
        if self.size < 0:
            raise BadArtifactError(f"is larger than {LARGEST:,} bytes, together with others of the step")
        if self.files < 0:
            raise BadArtifactError(f"has more than {MOST_FILES:,} files, together with others of the step")


def place(artifact: Artifact, item: Mapping[str, Any], target: Path, budget: ArtifactBudget) -> None:
    """Put an artifact where the step takes it: unpacked, unless ``item`` says ``archive: {none: {}}``.

    Raise BadArtifactError or OSError.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if artifact.path is None:
        target.write_text(artifact.text, encoding="utf-8")
    else:
        _hand_over(_part(artifact, artifact.path), artifact.archive, item, target, budget)
    if "mode" in item and not target.is_symlink():
        target.chmod(int(item["mode"]))
        if item.get("recurseMode") and target.is_dir():
            for one in _below(target):
                if not one.is_symlink():
                    one.chmod(int(item["mode"]))


def _part(artifact: Artifact, path: Path) -> Path:
    if ".." in PurePosixPath(artifact.sub_path).parts:
        raise BadArtifactError(f"subPath {artifact.sub_path} leads out of the artifact")
    found = path / artifact.sub_path.lstrip("/")
    if not os.path.lexists(found):
        raise BadArtifactError(f"there is no {artifact.sub_path} in the artifact")
    return found


def _hand_over(source: Path, form: str, item: Mapping[str, Any], target: Path, budget: ArtifactBudget) -> None:
    packed = "none" in (item.get("archive") or {})
    if packed and form != "none":
        return _pack(source, form, target, budget)
    if not packed and form == "none" and source.is_file():
        if tarfile.is_tarfile(source):
            return _untar(source, target, budget)
        if zipfile.is_zipfile(source):
            return _unzip(source, target, budget)
    return copy(source, target, budget)


def copy(source: Path, target: Path, budget: ArtifactBudget, left_out: Collection[str] = ()) -> None:
    """Copy a file or a folder; links stay links. Raise BadArtifactError for what cannot be in one, or OSError."""
    _copy_one(source, target, source, budget)
    if target.is_symlink() or not target.is_dir():
        return
    for one in _below(source, left_out):
        _copy_one(one, target / one.relative_to(source), source, budget)


def _copy_one(source: Path, target: Path, top: Path, budget: ArtifactBudget) -> None:
    about = source.lstat()
    if stat.S_ISDIR(about.st_mode):
        budget.take(0)
        target.mkdir(exist_ok=True)
    elif stat.S_ISLNK(about.st_mode):
        budget.take(0)
        _check_link(source, top)
        target.symlink_to(source.readlink())
    elif stat.S_ISREG(about.st_mode):
        budget.take(about.st_size)
        shutil.copyfile(source, target, follow_symlinks=False)
        shutil.copymode(source, target)
    else:
        raise BadArtifactError(f"contains {kind(about.st_mode)}: {source.name}")


def _check_link(link: Path, top: Path) -> None:
    goal = os.path.normpath(link.parent / link.readlink())
    if not Path(goal).is_relative_to(top):
        raise BadArtifactError(f"contains the link {link.name}, which leads out of the artifact")


def _below(folder: Path, left_out: Collection[str] = ()) -> Iterator[Path]:
    """Yield all in a folder, without the names in `left_out`; each folder before what is in it. Links stay links."""
    ahead = [folder]
    while ahead:
        for one in sorted((at := ahead.pop()).iterdir()):
            if at == folder and one.name in left_out:
                continue
            yield one
            if one.is_dir() and not one.is_symlink():
                ahead.append(one)


def _pack(source: Path, form: str, target: Path, budget: ArtifactBudget) -> None:
    for one in (source, *(_below(source) if source.is_dir() else ())):
        budget.take(one.lstat().st_size)
    if form == "tar":
        with tarfile.open(target, "w:gz") as archive:
            archive.add(source, arcname=source.name)
        return
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as packed:
        for one in (source, *(_below(source) if source.is_dir() else ())):
            packed.write(one, one.relative_to(source.parent))


def _untar(source: Path, target: Path, budget: ArtifactBudget) -> None:
    away = _beside(target)
    try:
        with tarfile.open(source) as archive:
            for member in archive:
                budget.take(member.size)
                _extract(archive, member, away)
    except tarfile.TarError as error:
        raise BadArtifactError(f"cannot be unpacked: {error}") from error
    _settle(away, target)


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, away: Path) -> None:
    if hasattr(tarfile, "data_filter"):
        archive.extract(member, away, filter="data")
        return
    # Python before 3.11.4 has no filters, as that of Debian 12.
    inside = (away / member.name).resolve().is_relative_to(away.resolve())
    if not inside or not (member.isfile() or member.isdir()):
        raise tarfile.TarError(f"{member.name!r} is not a file or folder inside the archive")
    archive.extract(member, away)


def _unzip(source: Path, target: Path, budget: ArtifactBudget) -> None:
    away = _beside(target)
    try:
        with zipfile.ZipFile(source) as archive:
            for member in archive.infolist():
                budget.take(member.file_size)
                archive.extract(member, away)
    except (
        zipfile.BadZipFile,
        RuntimeError,
        NotImplementedError,
    ) as error:  # damaged, with a password, of another kind
        raise BadArtifactError(f"cannot be unpacked: {error}") from error
    _settle(away, target)


def _beside(target: Path) -> Path:
    away = target.with_name(f".{target.name}.unpacked")
    away.mkdir()
    return away


def _settle(away: Path, target: Path) -> None:
    """Rename what was unpacked: a single file or folder without the folder around it, as Argo does."""
    found = list(away.iterdir())
    if target.is_dir() and not any(target.iterdir()):
        target.rmdir()
    (found[0] if len(found) == 1 else away).rename(target)
    if len(found) == 1:
        away.rmdir()
