"""The wheel, built as a release builds it, and a clean environment with nothing but it and what it needs."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")


def build(folder: Path, kind: str = "--wheel", source: Path = ROOT) -> Path:
    """Build wheel or sdist into ``folder`` and return its path; with the locked build backend, so without a network."""
    how = ["--quiet", kind, "--no-build-isolation", "--python", sys.executable]
    subprocess.run([UV, "build", *how, "-o", folder, source], check=True, timeout=120)
    return next(folder.glob("*.whl" if kind == "--wheel" else "*.tar.gz"))


def install(wheel: Path, folder: Path) -> Path:
    """Install it into a new environment with the locked versions; return the path of the command."""
    python = folder / "bin" / "python"
    for command in (
        [UV, "venv", "--quiet", "--python", sys.executable, folder],
        [UV, "pip", "sync", "--quiet", "--python", python, "--require-hashes", ROOT / "requirements-runtime.lock"],
        [UV, "pip", "install", "--quiet", "--python", python, "--no-deps", wheel],
    ):
        subprocess.run(command, check=True, timeout=300)
    return folder / "bin" / "retrainer"


def once(factory: pytest.TempPathFactory) -> Path:
    """Build and install it once for all tests of this execution, in any process; return the path of the command."""
    base = factory.getbasetemp()
    folder = base.parent / "wheel" if os.environ.get("PYTEST_XDIST_WORKER") else base / "wheel"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = folder / "done"
        if not done.exists():
            done.write_text(str(install(build(folder / "dist"), folder / "venv")))
        return Path(done.read_text())
