"""The log of a step: its newest output, in one file of bounded size and one predecessor."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from retrainer.util.regular_files import open_regular
from retrainer.workflows.base import OUTPUT_LIMIT, StepOutput

if TYPE_CHECKING:
    from pathlib import Path

    from retrainer.workflows.base import OutputQuery

LOG_LIMIT = 8 * 1024**2
"""Bytes of a log. Then it is renamed to `log.1`, replacing the previous one."""
RESULT_LIMIT = 256 * 1024
"""Bytes of `outputs.result`."""
_CUT = b"(what a step wrote before is in log.1 as far as it is kept)\n"
_TAIL = 4096  # bytes of a log that are searched for the reason of a failure
_LONGEST = 1000
_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_APPEND | os.O_CLOEXEC


class StepLog:
    """Raises nothing: a full disk, or a step that removes its log, must not end or block the step."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "log"
        self._file = -1
        self._size = 0
        self._open()

    def write(self, data: bytes) -> None:
        if self._size + len(data) > LOG_LIMIT:
            self._turn()
        with suppress(OSError):
            self._size += os.write(self._file, data)

    def _turn(self) -> None:
        with suppress(OSError):
            os.close(self._file)
        self._file, self._size = -1, 0
        with suppress(OSError):
            self._path.rename(self._path.with_name("log.1"))
        self._open()
        self.write(_CUT)

    def _open(self) -> None:
        with suppress(OSError):
            self._file = os.open(self._path, _FLAGS, 0o644)


class StepResult:
    """The beginning of a step's standard output, as far as Argo keeps it for `outputs.result`. Raises nothing."""

    def __init__(self, folder: Path) -> None:
        self._file = -1
        self._left = RESULT_LIMIT
        with suppress(OSError):
            self._file = os.open(folder / "result", _FLAGS, 0o644)

    def write(self, data: bytes) -> None:
        with suppress(OSError):
            self._left -= os.write(self._file, data[: self._left])


def result_in(folder: Path) -> str | None:
    """Return the standard output of a step without one line end at its end; None if it was not kept."""
    try:
        with open_regular(folder / "result") as file:
            text = file.read(RESULT_LIMIT).decode(errors="replace")
    except OSError:
        return None
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}").removesuffix("\n")


def newest(name: str, folder: Path, query: OutputQuery) -> StepOutput:
    """Return the last lines of the log of the step in `folder`, and of its predecessor, under a name."""
    text = _end(folder / "log", OUTPUT_LIMIT + 1).removeprefix(_CUT)
    if len(text) <= OUTPUT_LIMIT:
        text = _end(folder / "log.1", OUTPUT_LIMIT + 1 - len(text)) + text
    left_out = len(text) > OUTPUT_LIMIT
    if left_out:
        text = text.partition(b"\n")[2]  # the first line may be incomplete
    lines = text.removesuffix(b"\n").split(b"\n")
    return StepOutput(name, b"\n".join(lines[-query.tail :]), left_out or len(lines) > query.tail)


def _end(path: Path, size: int) -> bytes:
    """Return the last `size` bytes of a file; none if it cannot be read."""
    try:
        with open_regular(path) as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - size))
            return file.read(size)
    except OSError:
        return b""


def last_words(path: Path) -> str:
    """Return the last line of a log in printable characters; empty if there is none."""
    try:
        with open_regular(path) as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL))
            lines = log.read(_TAIL).decode(errors="replace").split("\n")
    except OSError:
        return ""
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return printable(last[-_LONGEST:])


def printable(text: str) -> str:
    """Replace characters that terminals interpret or databases reject."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
