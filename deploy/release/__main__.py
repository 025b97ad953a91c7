"""`make release` builds everything that a release consists of into dist/release, and publishes nothing."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tarfile
from pathlib import Path
from subprocess import CalledProcessError
from tempfile import TemporaryDirectory
from typing import Any

from deploy.release import changelog, checks, statement
from deploy.release import version as versions
from deploy.release.builds import Build

ROOT = versions.ROOT
PLATFORMS = "linux/amd64,linux/arm64"
LOCKS = ("requirements-runtime.lock", "requirements-image.lock", "requirements.lock")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make release", description=__doc__)
    parser.add_argument("--root", type=Path, default=ROOT, help="the checkout (this one)")
    parser.add_argument(
        "--out", type=Path, help="where the files go; it is emptied first (dist/release of the checkout)"
    )
    parser.add_argument(
        "--repository", default=os.environ.get("REPOSITORY", ""), help="https address of the published source"
    )
    parser.add_argument("--key", type=Path, default=os.environ.get("KEY") or None, help="Ed25519 key (PEM) that signs")
    parser.add_argument(
        "--builder", default=os.environ.get("BUILDER") or statement.BUILDER, help="URI of who vouches for the build"
    )
    parser.add_argument(
        "--platforms",
        default=os.environ.get("PLATFORMS") or PLATFORMS,
        help=f"of the image ({PLATFORMS}); `none` builds no image",
    )
    given = parser.parse_args()
    if given.repository and not given.repository.startswith("https://"):
        parser.error(f"REPOSITORY is {given.repository!r}: write the address that everyone can open, https://…")
    if given.key and not statement.is_ed25519(given.key):
        parser.error(
            f"KEY is {given.key}: it must be the file of an Ed25519 key without a password, as "
            "`openssl genpkey -algorithm ed25519 -out key.pem` writes it"
        )
    return given


def main() -> None:
    given = arguments()
    root = given.root.resolve()
    if reasons := list(checks.refusals(root)):
        sys.exit("no release:\n" + "\n".join(f"- {reason}" for reason in reasons))
    out = (given.out or root / "dist/release").resolve()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    try:
        with TemporaryDirectory(prefix="retrainer-release-") as scratch:
            build = built(exported(root, Path(scratch), out, given.repository.rstrip("/")), given.platforms)
        describe(root, build, given)
    except CalledProcessError as error:
        shutil.rmtree(out)
        sys.exit(f"no release: `{' '.join(map(str, error.cmd))}` ended with {error.returncode}; its words are above")
    lines = [f"{path.stat().st_size:>12,}  {path.name}" for path in sorted(out.iterdir())]
    signed = f"signed with {given.key}" if given.key else "not signed (KEY=key.pem signs it)"
    lines.append(f"{out}: {signed}. Nothing is tagged or published: CONTRIBUTING.md says what follows")
    sys.stdout.write("\n".join(lines) + "\n")


def built(build: Build, platforms: str) -> Build:
    build.stamp()
    build.packages()
    build.environment()
    build.chart()
    if platforms != "none":
        build.image(platforms)
    return build


def exported(root: Path, scratch: Path, out: Path, repository: str) -> Build:
    """Export the commit, so that nothing else of this machine gets into the release."""
    source = scratch / "source"
    packed = scratch / "source.tar"
    checks.git(root, "archive", "-o", str(packed), "HEAD")
    with tarfile.open(packed) as archive:
        archive.extractall(source, filter="tar")
    commit, epoch = checks.git(root, "log", "-1", "--format=%H %ct").split()
    return Build(source, out, scratch, versions.read(root), commit, int(epoch), repository)


def describe(root: Path, build: Build, given: argparse.Namespace) -> None:
    """Write provenance, notes and sums."""
    version, out, commit = build.version, build.out, build.commit
    parameters = {
        "version": version,
        "repository": build.repository,
        "platforms": given.platforms,
        "base": os.environ.get("BASE", ""),
    }
    source = {"uri": f"git+{build.repository}" if build.repository else "git", "digest": {"gitCommit": commit}}
    locks = [{"name": name, "digest": {"sha256": statement.digest(root / name)}} for name in LOCKS]
    described = statement.statement(out.iterdir(), parameters, [source, *locks, *bases(out)], given.builder)
    signed = statement.envelope(described, given.key) if given.key else described
    (out / f"retrainer-{version}.intoto.json").write_text(json.dumps(signed, indent=2, sort_keys=True) + "\n")
    notes = changelog.sections((root / "CHANGELOG.md").read_text())[version]
    (out / "release-notes.md").write_text(f"# retrainer {version}\n\nCommit {commit}.\n\n{notes}\n")
    sums = "".join(f"{statement.digest(path)}  {path.name}\n" for path in sorted(out.iterdir()))
    (out / "SHA256SUMS").write_text(sums)
    if given.key:
        (out / "SHA256SUMS.sig").write_bytes(statement.signature(sums.encode(), given.key))


def bases(out: Path) -> list[dict[str, Any]]:
    """Return the base images, as the image names them in its labels."""
    found: dict[str, dict[str, Any]] = {}
    for path in out.glob("*-image.tar"):
        with tarfile.open(path) as archive:
            for entry in archive:
                file = archive.extractfile(entry) if entry.size < 1 << 16 else None
                content = file.read() if file else b""
                labels = json.loads(content).get("config", {}).get("Labels", {}) if content[:1] == b"{" else {}
                if digest := labels.get("org.opencontainers.image.base.digest"):
                    named = {"name": labels["org.opencontainers.image.base.name"], "digest": {"sha256": digest[7:]}}
                    found[digest] = named
    return [found[digest] for digest in sorted(found)]


if __name__ == "__main__":
    main()
