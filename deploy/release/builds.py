"""The files of a release, each built so that the same commit gives the same bytes."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

HELM = Path(os.environ.get("CHART_DIR", Path.home() / ".cache/retrainer-chart")) / "bin/helm"
UV = Path(sys.executable).with_name("uv")


@dataclass(frozen=True, slots=True)
class Build:
    """``source`` is the exported commit, ``out`` gets the files, ``scratch`` is removed afterwards."""

    source: Path
    out: Path
    scratch: Path
    version: str
    commit: str
    epoch: int
    """The time of the commit in seconds since 1970; all that is built has it."""
    repository: str
    """Address where the source is published; empty if it is not."""

    def run(self, *command: str | Path, **variables: str) -> str:
        """Run a command in ``source`` and return what it prints. Raise CalledProcessError."""
        environment = {**os.environ, "SOURCE_DATE_EPOCH": str(self.epoch), **variables}
        return subprocess.run(  # noqa: S603 - the tools of a release
            command, cwd=self.source, env=environment, check=True, stdout=subprocess.PIPE, text=True
        ).stdout

    def stamp(self) -> None:
        """Write where it is published into the metadata of the wheel and of the chart."""
        if not self.repository:
            return
        chart, project = self.source / "deploy/helm/retrainer/Chart.yaml", self.source / "pyproject.toml"
        lines = chart.read_text().replace(
            "{name: The retrainer developers}", f"{{name: The retrainer developers, url: {self.repository}}}"
        )
        chart.write_text(f"{lines}home: {self.repository}\nsources: [{self.repository}]\n")
        table = "[project.urls]\n"
        urls = f'{table}Homepage = "{self.repository}"\nSource = "{self.repository}"\n'
        project.write_text(project.read_text().replace(table, urls, 1))

    def packages(self) -> None:
        """Build wheel and sdist with the locked build backend."""
        how = ("--quiet", "--no-build-isolation", "--python", sys.executable)
        for kind in ("--wheel", "--sdist"):
            self.run(UV, "build", kind, *how, "-o", self.out, ".")
        (self.out / ".gitignore").unlink(missing_ok=True)

    def environment(self) -> None:
        """Install the wheel with the locked versions, see it start, and list all that is installed as CycloneDX."""
        tools, clean = self.scratch / "tools", self.scratch / "venv"
        for folder, lock in ((tools, "requirements-image.lock"), (clean, "requirements-runtime.lock")):
            self.run(UV, "venv", "--quiet", "--python", sys.executable, folder)
            self.run(UV, "pip", "sync", "--quiet", "--python", folder / "bin/python", "--require-hashes", lock)
        found = ("--offline", "--no-index", "--find-links", self.out)
        self.run(UV, "pip", "install", "--quiet", "--python", clean / "bin/python", "--no-deps", *found, "retrainer")
        started = self.run(clean / "bin/retrainer", "--version").strip()
        if started != self.version:
            raise RuntimeError(f"the wheel says that it is version {started}, and not {self.version}")
        listed = self.out / f"retrainer-{self.version}-wheel.cdx.json"
        what = ("--pyproject", "pyproject.toml", "--output-reproducible", "--of", "JSON", "-o", listed)
        self.run(tools / "bin/cyclonedx-py", "environment", *what, clean / "bin/python")

    def chart(self) -> None:
        """Package the chart, and write the archive anew with one time and order."""
        made = self.scratch / "chart"
        which = ("--version", self.version, "--app-version", self.version)
        self.run(HELM, "package", "deploy/helm/retrainer", *which, "-d", made)
        (archive,) = made.glob("*.tgz")
        (self.out / archive.name).write_bytes(normalised(archive, self.epoch))

    def image(self, platforms: str) -> None:
        """Build the image of all platforms as one OCI archive, with a list of contents of each."""
        made = self.scratch / "image"
        where = {"CONTEXT": str(self.source), "OUT": str(made)}
        what = {"PLATFORMS": platforms, "REPOSITORY": self.repository, "REVISION": self.commit}
        self.run(self.source / "deploy/image/build", **where, **what)
        shutil.move(made / "retrainer-image.tar", self.out / f"retrainer-{self.version}-image.tar")
        for path in made.glob("*.cdx.json"):
            kind = path.name.removeprefix("retrainer").removesuffix(".cdx.json")
            shutil.move(path, self.out / f"retrainer-{self.version}-image{kind}.cdx.json")


def normalised(archive: Path, epoch: int) -> bytes:
    """Return the .tgz with its files in the order of their names, of one time and of no user."""
    packed = io.BytesIO()
    with tarfile.open(archive) as old, tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as new:
        for entry in sorted(old.getmembers(), key=lambda entry: entry.name):
            plain = tarfile.TarInfo(entry.name)
            plain.size, plain.mode, plain.mtime = entry.size, 0o644, epoch
            new.addfile(plain, old.extractfile(entry))
    return gzip.compress(packed.getvalue(), mtime=0)
