"""`make release` as a whole, but for the image, which takes minutes: the same commit gives the same bytes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from typing import TYPE_CHECKING

import pytest
import yaml

from deploy.release import changelog, version
from tests.unit.release.checkout import commit, git

from .conftest import HELM

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

ROOT = version.ROOT
VERSION = version.read()
REPOSITORY = "https://git.example.com/ml/retrainer"


def release(checkout: Path, *arguments: str) -> Path:
    out = checkout / "dist/release"
    command = [sys.executable, "-m", "deploy.release", "--platforms", "none", "--root", str(checkout), *arguments]
    environment = {**os.environ, "CHART_DIR": str(HELM.parents[1])}
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def listed(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def tracked() -> Iterable[str]:
    found = ["git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard"]
    return subprocess.run(found, check=True, capture_output=True, text=True, timeout=60).stdout.splitlines()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """These files as one commit, with a section of the changelog for the version."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in tracked():
        if (ROOT / name).is_file() or (ROOT / name).is_symlink():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name, follow_symlinks=False)
    log = folder / "CHANGELOG.md"
    text = log.read_text()
    if changelog.sections(text)[changelog.UNRELEASED]:
        text = changelog.cut(text, "9.9.9" if VERSION in changelog.sections(text) else VERSION, "2026-11-30")
        log.write_text(text.replace("[9.9.9] - 2026-11-30", f"[{VERSION}] - 2026-11-30", 1))
    git(folder, "init", "-q")
    commit(folder)
    return folder


@pytest.fixture(scope="module")
def released(checkout: Path) -> Path:
    return release(checkout, "--repository", REPOSITORY)


def test_everything_is_there_with_its_sum(released: Path) -> None:
    sums = dict(reversed(line.split("  ")) for line in (released / "SHA256SUMS").read_text().splitlines())
    assert sums == {name: digest for name, digest in listed(released).items() if name != "SHA256SUMS"}
    assert sums.keys() == {
        f"retrainer-{VERSION}-py3-none-any.whl",
        f"retrainer-{VERSION}.tar.gz",
        f"retrainer-{VERSION}.tgz",
        f"retrainer-{VERSION}-wheel.cdx.json",
        f"retrainer-{VERSION}.intoto.json",
        "release-notes.md",
    }


def test_the_same_commit_gives_the_same_bytes_on_another_day(checkout: Path, released: Path) -> None:
    before = listed(released)
    for path in checkout.rglob("*"):
        if ".git" not in path.parts and "dist" not in path.parts and path.is_file() and not path.is_symlink():
            os.utime(path, (1, 1))
    assert listed(release(checkout, "--repository", REPOSITORY)) == before


def test_the_chart_and_the_wheel_say_where_they_are_published(released: Path) -> None:
    with tarfile.open(released / f"retrainer-{VERSION}.tgz") as archive:
        chart = yaml.safe_load(archive.extractfile("retrainer/Chart.yaml").read())  # type: ignore[union-attr]
    assert (chart["version"], chart["appVersion"]) == (VERSION, VERSION)
    assert (chart["home"], chart["sources"]) == (REPOSITORY, [REPOSITORY])
    with zipfile.ZipFile(released / f"retrainer-{VERSION}-py3-none-any.whl") as archive:
        metadata = archive.read(f"retrainer-{VERSION}.dist-info/METADATA").decode()
    assert f"Project-URL: Source, {REPOSITORY}\n" in metadata


def test_the_statement_is_about_each_file_and_this_commit(checkout: Path, released: Path) -> None:
    said = json.loads((released / f"retrainer-{VERSION}.intoto.json").read_text())
    about = {subject["name"]: subject["digest"]["sha256"] for subject in said["subject"]}
    others = ("SHA256SUMS", "release-notes.md", f"retrainer-{VERSION}.intoto.json")
    assert about == {name: digest for name, digest in listed(released).items() if name not in others}
    (source, *locks) = said["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert source == {"uri": f"git+{REPOSITORY}", "digest": {"gitCommit": git(checkout, "rev-parse", "HEAD")}}
    assert "requirements-runtime.lock" in [lock["name"] for lock in locks]


def test_the_list_of_the_wheel_has_what_was_installed(released: Path) -> None:
    content = json.loads((released / f"retrainer-{VERSION}-wheel.cdx.json").read_text())
    names = {component["name"] for component in content["components"]}
    assert {"pydantic", "sqlalchemy", "kubernetes"} <= {name.lower() for name in names}
    assert "/tmp" not in json.dumps(content), "no path of the machine that built it"


def test_the_notes_are_the_section_of_the_changelog(released: Path) -> None:
    notes = (released / "release-notes.md").read_text()
    assert notes.startswith(f"# retrainer {VERSION}\n\nCommit ")
    assert "### Added\n- " in notes
    assert "## [" not in notes
