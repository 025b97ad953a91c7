"""The wheel has all that the commands need, and says what it is."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import zipfile
from email.parser import Parser
from typing import TYPE_CHECKING

import pytest

from retrainer.cli.demo import QUICKSTART
from tests.houses import wheel as house

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return house.build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return house.once(tmp_path_factory)


@pytest.fixture
def command(installed: Path, tmp_path: Path) -> Command:
    """Run the installed command in an empty folder, with an empty home and nothing else in its environment."""
    (tmp_path / "home").mkdir()
    (tmp_path / "here").mkdir()

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {"HOME": str(tmp_path / "home"), "PATH": os.defpath}
        here = tmp_path / "here"
        called = [installed, *arguments]
        return subprocess.run(
            called, cwd=here, env=environment, check=False, capture_output=True, text=True, timeout=180
        )

    return run


RUNBOOKS = "docs/how-to/operations/runbooks"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_every_file_of_the_package_is_in_it(wheel: Path) -> None:
    files = (path for path in (house.ROOT / "retrainer").rglob("*") if path.is_file() and path.suffix != ".pyc")
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
    pages = {f"retrainer/cli/runbooks/{path.name}" for path in (house.ROOT / RUNBOOKS).glob("*.md")}
    assert inside == pages | {path.relative_to(house.ROOT).as_posix() for path in files}


def test_the_sdist_gives_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    sdist = house.build(tmp_path, "--sdist")
    subprocess.run(["tar", "-xf", sdist, "-C", tmp_path], check=True)  # tarfile has no filters on Debian's Python
    again = house.build(tmp_path / "dist", source=tmp_path / sdist.name.removesuffix(".tar.gz"))
    assert again.read_bytes() == wheel.read_bytes()


def test_the_demo_trains_a_model_in_an_empty_folder(command: Command, tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "here/.demo").mkdir()
    settings = (QUICKSTART / "retrainer.yaml").read_text()
    (tmp_path / "here/.demo/retrainer.yaml").write_text(settings.replace("port: 8321", f"port: {port}"))
    done = command("demo", "--once")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"SUCCEEDED in .*: auc 0\.\d+, promoted, [\d,]+ rows", done.stdout), done.stdout
    assert f"explain churn --url http://127.0.0.1:{port}" in done.stdout
    assert (tmp_path / "here/.demo/models/champion.json").exists()
    assert list((tmp_path / "home").iterdir()) == []


def test_a_new_project_is_valid_and_passes_its_tests(command: Command) -> None:
    for arguments in (("init",), ("validate",), ("test",), ("lint",)):
        done = command(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr


def test_it_brings_the_runbooks(command: Command) -> None:
    assert command("runbook", "RetrainerDown").stdout == (house.ROOT / RUNBOOKS / "RetrainerDown.md").read_text()


def test_its_metadata_say_what_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith("/METADATA"))
        metadata = Parser().parsestr(archive.read(name).decode())
        assert any(name.endswith("/licenses/LICENSE") for name in archive.namelist())
    assert (metadata["License-Expression"], metadata["Requires-Python"]) == ("Apache-2.0", ">=3.11")
    assert "The retrainer developers" in metadata["Author-email"]
    assert metadata.get_all("Project-URL")
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata["Keywords"]
    assert "Typing :: Typed" in metadata.get_all("Classifier", [])
