"""schemathesis sends what openapi.json allows, and what it does not, and checks each answer against it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.api.daemon import TOKEN, FilledDaemon

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
DESCRIPTION = HERE.parents[1] / "docs/reference/openapi.json"
EXAMPLES = os.environ.get("EXAMPLES", "10")
"""Requests of each operation and scenario that are made up, beside those of examples and bounds."""
SEED = os.environ.get("SEED", "1")


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[FilledDaemon]:
    daemon = FilledDaemon(tmp_path)
    try:
        daemon.start()
        daemon.ready()
        daemon.fill()
        yield daemon
    finally:
        daemon.close()


@pytest.mark.timeout(0)
def test_every_answer_is_as_described(daemon: FilledDaemon) -> None:
    command = [str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(HERE / "schemathesis.toml")]
    command += ["run", str(DESCRIPTION), "--url", daemon.url, "--header", f"Authorization: Bearer {TOKEN}"]
    command += ["--seed", SEED, "--max-examples", EXAMPLES, "--no-color"]
    done = subprocess.run(command, cwd=daemon.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
    assert "no tests" not in done.stdout.lower()
    assert [line for line in daemon.lines() if line["level"] in ("error", "critical")] == []
    assert daemon.running
