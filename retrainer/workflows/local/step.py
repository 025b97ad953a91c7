"""One container or script of a template, as a process of this machine."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrainer.workflows.local.isolation import KEPT
from retrainer.workflows.local.log import last_words, result_in
from retrainer.workflows.local.run_folder import FOLDER_VARIABLE
from retrainer.workflows.local.step_supervisor import KILL, TERMINATE, Command, Result, result, supervise

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrainer.workflows.local.node import Outputs
    from retrainer.workflows.local.pod import Pod
    from retrainer.workflows.local.step_files import Machine, StepFiles

_REPORT = 65536
"""Maximum bytes of a supervisor's report; real ones are far smaller."""
UNWATCHED = "its supervisor process was killed"


class LocalStep:
    """A running step."""

    def __init__(self, pod: Pod, files: StepFiles) -> None:
        self.name = pod.name
        self.supervisor = 0
        """Process id of its supervisor; all processes of the step are below it."""
        self._pod = pod
        self._files = files
        self._orders = self._report = -1
        self._result: Result | None = None

    def start(self, machine: Machine) -> None:
        """Start the step in the run's working directory, or the template's. Raise OSError or ValueError on failure."""
        self._files.prepare()
        what = self._pod.template.get("container") or self._pod.template["script"]
        where = self._files.text(what["workingDir"]) if "workingDir" in what else machine.workdir
        command = Command(
            self._command(what),
            self._environment(what, machine.run),
            where,
            self._pod.folder,
            self._files.view(where),
            self._pod.keeps_output,
        )
        self.supervisor, self._orders, self._report = supervise(command)

    def ended(self) -> Result | None:
        """Return how the step ended; None while it runs. All its processes have ended then, as far as possible."""
        if self._result is None and os.waitpid(self.supervisor, os.WNOHANG)[0]:
            self._result = result(os.read(self._report, _REPORT)) or Result(error=UNWATCHED)
            os.close(self._orders)
            os.close(self._report)
        return self._result

    def signal(self, number: signal.Signals) -> None:
        """Send SIGTERM to its process group, or SIGKILL to all its processes."""
        if self._result is None:
            with suppress(BrokenPipeError):  # the supervisor is about to report
                os.write(self._orders, TERMINATE if number == signal.SIGTERM else KILL)

    def abandon(self) -> None:
        """Kill a supervisor that does not respond: the step has stopped it."""
        if self._result is None:
            os.kill(self.supervisor, signal.SIGKILL)

    def last_words(self) -> str:
        """Return the last line of the step's log; empty if there is none."""
        return last_words(self._pod.folder / "log")

    def outputs(self) -> Outputs:
        """Return what the step left. Raise BadOutputError that names the invalid part."""
        return replace(self._files.collect(), result=self.result(), exit_code=0)

    def result(self) -> str | None:
        """Return the standard output, if it is kept."""
        return result_in(self._pod.folder) if self._pod.keeps_output else None

    def _command(self, what: Mapping[str, Any]) -> list[str]:
        command = [self._files.text(part) for part in what["command"]]
        if command[0] in ("python", "python3"):
            command[0] = sys.executable
        if "source" not in what:
            return [*command, *(self._files.text(part) for part in what.get("args") or ())]
        source = self._pod.folder / "source"
        source.write_text(self._files.text(what["source"]), encoding="utf-8")
        source.chmod(0o755)  # as in Argo, so that `sh -c` may run it
        return [*command, str(source)]

    def _environment(self, what: Mapping[str, Any], run: Path) -> dict[str, str]:
        kept = {name: os.environ[name] for name in KEPT if name in os.environ}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        declared = {
            self._files.text(item["name"]): self._files.text(item.get("value", "")) for item in what.get("env") or ()
        }
        return {**kept, "PATH": path, "TMPDIR": self._files.tmp, **declared, FOLDER_VARIABLE: str(run)}
