"""What must hold before a release is made. Each refusal says the way out."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from deploy.release import changelog
from deploy.release import version as versions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def git(root: Path, *arguments: str) -> str:
    """Return what git prints. Raise CalledProcessError if it fails."""
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()  # noqa: S603 - git


def refusals(root: Path) -> Iterator[str]:
    """Yield the reasons why the commit that is checked out at ``root`` cannot be released."""
    version = versions.read(root)
    if changed := git(root, "status", "--porcelain").splitlines():
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        names = ", ".join(line[3:] if line[2:3] == " " else line[2:] for line in changed[:3])
        yield f"the tree is not what its commit says ({names}{more}): commit, or `git stash -u`"
    yield from _changelog(root, version)
    for place in versions.differing(root):
        yield f"{place}, and pyproject.toml {version}: `make version VERSION={version}` writes it everywhere"
    head, tag = git(root, "rev-parse", "HEAD"), f"v{version}"
    tagged = git(root, "rev-parse", f"{tag}^{{commit}}") if git(root, "tag", "--list", tag) else head
    if tagged != head:
        yield (
            f"{tag} is commit {tagged[:12]}, and this is {head[:12]}: a released version never changes. "
            f"`git checkout {tag}` makes that one again; `make version VERSION=…` begins the next"
        )


def _changelog(root: Path, version: str) -> Iterator[str]:
    sections = changelog.sections((root / "CHANGELOG.md").read_text())
    if not sections.get(version):
        yield f"CHANGELOG.md says nothing about {version}: `make version VERSION={version}` begins its section"
    elif sections.get(changelog.UNRELEASED):
        yield (
            f"CHANGELOG.md has entries under [{changelog.UNRELEASED}], and this commit contains them: "
            f"move them to [{version}]"
        )
