"""The tutorial is executed with the installed wheel, from an empty folder with an empty home: the page shows what the
commands print.

`WRITE=1 pytest tests/unit/test_tutorial.py` writes the output into the page.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.houses import wheel

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).parents[2] / "docs/tutorial/first-model.md"
_PART = re.compile(
    r"^Write `(?P<file>[^`]+)`:\n\n```yaml\n(?P<text>.*?)^```|^```console\n(?P<console>.*?)^```",
    re.DOTALL | re.MULTILINE,
)
_COMMAND = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
_ID = re.compile(r"\b[0-9A-HJKMNP-TV-Z]{26}\b")
_DIFFERS = [
    (re.compile(_ID.pattern, re.IGNORECASE), "ID"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), "TIME"),
    (re.compile(r"\b\d+(m \d+)?s\b( ago)?|\bnow\b"), "DURATION"),
    (re.compile(r"^├── cooldown .*$", re.MULTILINE), "├── cooldown, as the time is"),
    (re.compile(r"[ \t]+"), " "),
    (re.compile(r" $", re.MULTILINE), ""),
]
"""Texts that differ at each execution, and spaces, because padding is as wide as such texts."""


class Walk:
    """Executes the tutorial in an empty folder, and waits at most two minutes for the output that the page shows."""

    def __init__(self, folder: Path, command: Path) -> None:
        self.here = folder
        self._ids: dict[str, str] = {}
        """The ids of this execution, by those on the page."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        home = folder / "home"
        home.mkdir()
        programs = f"{command.parent}:/usr/bin:/bin"
        self._environment = {"HOME": str(home), "PATH": programs, "RETRAINER_URL": f"http://127.0.0.1:{self._port}"}
        self._daemon: subprocess.Popen[bytes] | None = None

    def does(self, command: str, shown: str) -> str:
        """Run a command until it prints ``shown``; return its last output."""
        if command.startswith("cd "):
            self.here /= command.removeprefix("cd ")
            self._port_in_settings()
        elif command == "retrainer run":
            self._daemon = subprocess.Popen(command.split(), cwd=self.here, env=self._environment)
        else:
            printed = self._until_shown(command.replace(":8080/", f":{self._port}/"), shown)
            self._ids.update(zip(_ID.findall(shown), _ID.findall(printed), strict=False))
            return printed
        return ""

    def typed(self, command: str) -> str:
        """Return a command of the page with the ids of this execution."""
        return _ID.sub(lambda found: self._ids.get(found[0], found[0]), command)

    def _port_in_settings(self) -> None:
        """Set a free port, so that parallel executions do not all use 8080."""
        settings = self.here / "retrainer.yaml"
        settings.write_text(settings.read_text().replace("port: 8080", f"port: {self._port}"))

    def _until_shown(self, command: str, shown: str) -> str:
        end = time.monotonic() + 120
        while True:
            printed = self._prints(command)
            waits = self._daemon is not None and self._daemon.poll() is None and shown and time.monotonic() < end
            if same(printed) == same(shown) or not waits:
                return printed
            time.sleep(0.5)

    def _prints(self, command: str) -> str:
        done = subprocess.run(
            ["bash", "-c", command], cwd=self.here, env=self._environment, capture_output=True, text=True, check=False
        )
        printed = (done.stdout + done.stderr).replace(f":{self._port}/", ":8080/")
        return printed if printed.endswith("\n") or not printed else printed + "\n"

    def ends(self) -> int:
        """Stop the daemon, as Ctrl+C does, and return its exit code."""
        if self._daemon is None:
            return 0
        self._daemon.send_signal(signal.SIGINT)
        return self._daemon.wait(60)


def same(text: str) -> str:
    for pattern, word in _DIFFERS:
        text = pattern.sub(word, text)
    return text


@pytest.fixture
def walk(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    walk = Walk(tmp_path, wheel.once(tmp_path_factory))
    yield walk
    walk.ends()


def test_the_tutorial_shows_what_happens(walk: Walk) -> None:
    page = PAGE.read_text()
    printed = _PART.sub(lambda part: _walked(walk, part), page)
    if os.environ.get("WRITE"):
        PAGE.write_text(printed)
    assert same(printed) == same(page)
    assert walk.ends() == 0


def _walked(walk: Walk, part: re.Match[str]) -> str:
    if part["file"]:
        (walk.here / part["file"]).write_text(part["text"])
        return part[0]
    return "```console\n" + _COMMAND.sub(lambda command: _typed(walk, command), part["console"]) + "```"


def _typed(walk: Walk, found: re.Match[str]) -> str:
    command = walk.typed(found[1])
    return f"$ {command}\n{_tidy(walk.does(command, found[2]))}"


def _tidy(printed: str) -> str:
    """Tables are padded with spaces at the ends of lines."""
    return re.sub(r"[ \t]+$", "", printed, flags=re.MULTILINE)


def test_every_command_of_the_page_is_walked() -> None:
    page = PAGE.read_text()
    commands = [m[1] for part in _PART.finditer(page) if part["console"] for m in _COMMAND.finditer(part["console"])]
    assert len(commands) == len(re.findall(r"^\$ ", page, re.MULTILINE)) >= 15
    for part in (
        "init my-models",
        "validate",
        "test",
        "run",
        "explain churn",
        "explain churn-again",
        "runs logs ",
        "curl",
    ):
        assert any(part in command for command in commands), part
    assert (
        len([part for part in _PART.finditer(page) if part["file"]])
        == len(re.findall(r"^Write `", page, re.MULTILINE))
        == 4
    )
