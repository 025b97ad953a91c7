"""The wheel, built as a release builds it, and a clean environment with nothing but it and what it needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")


def build(folder: Path) -> Path:
    """Build the wheel into ``folder`` and return its path; with the locked build backend, so without a network."""
    command = [
        UV,
        "build",
        "--quiet",
        "--wheel",
        "--no-build-isolation",
        "--python",
        sys.executable,
        "-o",
        folder,
        ROOT,
    ]
    subprocess.run(command, check=True, timeout=120)
    return next(folder.glob("*.whl"))


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
