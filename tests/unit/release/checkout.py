"""A small checkout that could be released, to spoil in tests."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

VERSION = "1.2.0"
FILES = {
    "pyproject.toml": f'[project]\nname = "retrainer"\nversion = "{VERSION}"\n',
    "CHANGELOG.md": f"""# Changelog

## [Unreleased]

## [{VERSION}] - 2026-11-30

### Added
- All of it.

## [1.1.0] - 2026-01-01
- Less.
""",
    "deploy/helm/retrainer/Chart.yaml": f"apiVersion: v2\nversion: {VERSION}\nappVersion: {VERSION}\n",
    "deploy/gitops/presync-job.yaml": f"image: retrainer:{VERSION}\n",
    "docs/how-to/install.md": f"docker run registry.example.com/ml/retrainer:{VERSION}\n",
}


def git(folder: Path, *arguments: str) -> str:
    alone = {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
    }
    who = (
        "-c",
        "user.name=x",
        "-c",
        "user.email=x@example.com",
        "-c",
        "commit.gpgsign=false",
        "-c",
        "tag.gpgsign=false",
    )
    command = ["git", "-C", folder, *who, *arguments]
    return subprocess.run(command, check=True, env=alone, capture_output=True, text=True, timeout=60).stdout.strip()


def commit(folder: Path, message: str = "one") -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "--allow-empty", "-m", message)


def make(folder: Path) -> Path:
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    git(folder, "init", "-q")
    commit(folder)
    return folder
