"""One container or script of a template as a process of this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrainer.workflows.local_folder import FOLDER_VARIABLE
from retrainer.workflows.local_tags import private, scalar, substitute

if TYPE_CHECKING:
    from collections.abc import Mapping

# A container sees nothing of the daemon's environment, least of all its secrets; these say where things are.
_KEPT = ("HOME", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "LOGNAME", "SHELL", "TZ", "USER")
_TAIL = 4096  # bytes of a log that are looked at for the reason of a failure


class Step:
    """A running step. `folder` becomes its own: `log`, and `tmp` for whatever the template puts under `/tmp`."""

    def __init__(self, name: str, template: Mapping[str, Any], values: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self._template = template
        self._values = values
        self._folder = folder
        self._tmp = folder / "tmp"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, run: Path, workdir: str) -> None:
        """Start the process in `workdir`, unless the template says otherwise. Raise OSError if it cannot be started."""
        self._tmp.mkdir(parents=True)
        what = self._template.get("container") or self._template["script"]
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - running what the template says is what this is for
                self._command(what),
                env=self._environment(what, run),
                cwd=self._text(what["workingDir"]) if "workingDir" in what else workdir,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
            )

    def ended(self) -> int | None:
        """Tell the exit code, negative for a signal; None while it runs. What the step left running ends with it."""
        assert self._process is not None  # noqa: S101 - started
        was_over = self._process.returncode is not None
        if self._process.poll() is not None and not was_over:
            self.signal(signal.SIGKILL)  # right after it was reaped, so the number cannot be another group's yet
        return self._process.returncode

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the step and all its children."""
        assert self._process is not None  # noqa: S101 - started
        with suppress(ProcessLookupError, PermissionError):  # macOS says EPERM when only zombies are left
            os.killpg(self._process.pid, number)

    def last_words(self) -> str:
        """Give the last line that the step wrote; empty if it said nothing."""
        with (self._folder / "log").open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL))
            lines = log.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def outputs(self) -> dict[str, str]:
        """Read the output parameters. Raise FileNotFoundError or UnicodeDecodeError."""
        declared = (self._template.get("outputs") or {}).get("parameters") or ()
        return {item["name"]: self._output(item["valueFrom"]) for item in declared}

    def _output(self, value_from: Mapping[str, Any]) -> str:
        try:
            return Path(self._text(value_from["path"])).read_text(encoding="utf-8").removesuffix("\n")
        except FileNotFoundError:
            if "default" not in value_from:
                raise
            return scalar(value_from["default"])

    def _command(self, what: Mapping[str, Any]) -> list[str]:
        command = [self._text(part) for part in what["command"]]
        if command[0] in ("python", "python3"):
            command[0] = sys.executable
        if "source" not in what:
            return [*command, *(self._text(part) for part in what.get("args") or ())]
        source = self._folder / "source"
        source.write_text(self._text(what["source"]), encoding="utf-8")
        return [*command, str(source)]

    def _environment(self, what: Mapping[str, Any], run: Path) -> dict[str, str]:
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        declared = {item["name"]: self._text(item["value"]) for item in what.get("env") or ()}
        return {**kept, "PATH": path, "TMPDIR": str(self._tmp), **declared, FOLDER_VARIABLE: str(run)}

    def _text(self, text: object) -> str:
        # The template's own `/tmp` first: a value that comes in is the path of this machine that it says it is.
        return substitute(private(scalar(text), str(self._tmp)), self._values)
