"""The tutorial is executed from an empty folder with an empty home: the page shows what the commands print.

`WRITE=1 pytest tests/unit/test_tutorial.py` writes the output into the page.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = Path(__file__).parents[2] / "docs/tutorial/first-model.md"
_PART = re.compile(
    r"^Write `(?P<file>[^`]+)`:\n\n```yaml\n(?P<text>.*?)^```|^```console\n(?P<console>.*?)^```",
    re.DOTALL | re.MULTILINE,
)
_COMMAND = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
_DIFFERS = [
    (re.compile(r"\b[0-9a-hjkmnp-tv-z]{26}\b", re.IGNORECASE), "ID"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z"), "TIME"),
    (re.compile(r"\b\d+(m \d+)?s\b( ago)?|\bnow\b"), "DURATION"),
    (re.compile(r"^├── cooldown .*$", re.MULTILINE), "├── cooldown, as the time is"),
    (re.compile(r"[ \t]+"), " "),
    (re.compile(r" $", re.MULTILINE), ""),
]
"""Texts that differ at each execution, and spaces, because padding is as wide as such texts."""


class Walk:
    """Executes the tutorial in an empty folder, and waits at most two minutes for the output that the page shows."""

    def __init__(self, folder: Path) -> None:
        self.here = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        home = folder / "home"
        home.mkdir()
        programs = f"{Path(sys.executable).parent}:/usr/bin:/bin"
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
            return self._until_shown(command, shown)
        return ""

    def _port_in_settings(self) -> None:
        """Set a free port, so that parallel executions do not all use 8080."""
        settings = self.here / "retrainer.yaml"
        settings.write_text(settings.read_text().replace("port: 8080", f"port: {self._port}"))

    def _until_shown(self, command: str, shown: str) -> str:
        end = time.monotonic() + 120
        while True:
            printed = self._prints(command)
            waits = self._daemon is not None and shown and time.monotonic() < end
            if same(printed) == same(shown) or not waits:
                return printed
            time.sleep(0.5)

    def _prints(self, command: str) -> str:
        done = subprocess.run(
            ["bash", "-c", command], cwd=self.here, env=self._environment, capture_output=True, text=True, check=False
        )
        return done.stdout + done.stderr

    def ends(self) -> None:
        if self._daemon is not None:
            self._daemon.send_signal(signal.SIGINT)
            self._daemon.wait(60)


def same(text: str) -> str:
    for pattern, word in _DIFFERS:
        text = pattern.sub(word, text)
    return text


@pytest.fixture
def walk(tmp_path: Path) -> Iterator[Walk]:
    walk = Walk(tmp_path)
    yield walk
    walk.ends()


def test_the_tutorial_shows_what_happens(walk: Walk) -> None:
    page = PAGE.read_text()
    printed = _PART.sub(lambda part: _walked(walk, part), page)
    if os.environ.get("WRITE"):
        PAGE.write_text(printed)
    assert same(printed) == same(page)


def _walked(walk: Walk, part: re.Match[str]) -> str:
    if part["file"]:
        (walk.here / part["file"]).write_text(part["text"])
        return part[0]
    return "```console\n" + _COMMAND.sub(lambda m: f"$ {m[1]}\n{_tidy(walk.does(m[1], m[2]))}", part["console"]) + "```"


def _tidy(printed: str) -> str:
    """Tables are padded with spaces at the ends of lines."""
    return re.sub(r"[ \t]+$", "", printed, flags=re.MULTILINE)


def test_every_command_of_the_page_is_walked() -> None:
    page = PAGE.read_text()
    commands = [m[1] for part in _PART.finditer(page) if part["console"] for m in _COMMAND.finditer(part["console"])]
    assert len(commands) == len(re.findall(r"^\$ ", page, re.MULTILINE)) >= 15
    assert {"retrainer run", "retrainer init my-models"} <= set(commands)
    assert (
        len([part for part in _PART.finditer(page) if part["file"]])
        == len(re.findall(r"^Write `", page, re.MULTILINE))
        == 3
    )
