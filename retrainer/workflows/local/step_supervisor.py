"""The process between a runner and one step: it writes the step's log, and ends all processes of the step.

It is forked from the runner, which avoids an interpreter start. It adopts orphans, so processes that the step leaves
behind stay below it, in any session. It reads orders from the runner's pipe; end-of-file means that the runner died.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from retrainer.workflows.local.file_view import enter
from retrainer.workflows.local.isolation import adopt_orphans
from retrainer.workflows.local.log import StepLog, StepResult
from retrainer.workflows.local.processes import end_all

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from retrainer.workflows.local.file_view import FileView

    Sink = Callable[[bytes], None]

TERMINATE, KILL = b"T", b"K"
_CHUNK = 65536
_DRAIN = 64  # chunks; a pipe holds fewer, unless a process is left that still writes
_WAKING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)


@dataclass(frozen=True, slots=True)
class Command:
    """The program of a step, its environment and working directory. Its log goes into `folder`.

    ``keeps_output``: the beginning of its standard output is kept there too, in `result`.
    """

    arguments: Sequence[str]
    environment: Mapping[str, str]
    workdir: str
    folder: Path
    view: FileView | None = None
    keeps_output: bool = False


@dataclass(frozen=True, slots=True)
class Result:
    """A step's exit code (negative: a signal), or why it did not start. ``left``: processes that could not be ended."""

    code: int | None = None
    error: str = ""
    left: int = 0


def supervise(command: Command) -> tuple[int, int, int]:
    """Fork the supervisor of a step. Return its process id, the pipe for orders and the pipe for its report."""
    orders, orders_out = os.pipe()
    report_in, report = os.pipe()
    child = os.fork()
    if child:
        os.close(orders)
        os.close(report)
        return child, orders_out, report_in
    try:
        _close_all_but(orders, report)
        _send(report, _Supervisor(command, orders).run())
    except BaseException as error:  # noqa: BLE001 - a fork must never return into the runner's code
        traceback.print_exc()
        end_all()
        _send(report, Result(error=f"{type(error).__name__}: {error}"))
    finally:
        os._exit(0)


def result(report: bytes) -> Result | None:
    """Parse a supervisor's report; None if it was killed before it could report."""
    try:
        return Result(**json.loads(report))
    except (ValueError, TypeError):
        return None


def _send(pipe: int, outcome: Result) -> None:
    with suppress(OSError):  # the runner is gone
        os.write(pipe, json.dumps({"code": outcome.code, "error": outcome.error[:1000], "left": outcome.left}).encode())


def _close_all_but(*kept: int) -> None:
    # Otherwise the runner's lock and the pipes of other steps would stay open here after the runner's end.
    for descriptor in Path("/dev/fd").iterdir():
        if int(descriptor.name) not in (0, 1, 2, *kept):
            with suppress(OSError):  # the descriptor of the listing itself
                os.close(int(descriptor.name))


class _Supervisor:
    def __init__(self, command: Command, orders: int) -> None:
        self._command = command
        self._orders = orders
        self._code: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def run(self) -> Result:
        adopt_orphans()
        woken = self._listen()
        log = StepLog(self._command.folder)
        outputs = {_pipe(): [log.write]}
        if self._command.keeps_output:  # standard output through a pipe of its own, which keeps it apart from errors
            outputs = {_pipe(): [log.write, StepResult(self._command.folder).write], **outputs}
        theirs = [theirs for _, theirs in outputs]
        try:
            self._process = self._start(theirs[0], theirs[-1])
        except (OSError, ValueError) as error:
            return Result(error=str(error))
        for descriptor in theirs:
            os.close(descriptor)
        sinks = {ours: into for (ours, _), into in outputs.items()}
        self._watch(sinks, woken)
        left = self._end_all()
        for output, into in sinks.items():
            _drain(output, into)
        return Result(code=self._code, left=left)

    @staticmethod
    def _listen() -> int:
        """Wake up on signals, without other effect. Unlike ignored signals, handlers are not inherited by the step."""
        woken, wake = os.pipe()
        os.set_blocking(woken, False)
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        for number in _WAKING:
            signal.signal(number, lambda *_: None)
        return woken

    def _start(self, output: int, errors: int) -> subprocess.Popen[bytes]:
        view, reason = self._command.view, os.pipe()
        try:
            return subprocess.Popen(  # noqa: S603 - its purpose is to run the template's command
                self._command.arguments,
                env=self._command.environment,
                cwd=None if view else self._command.workdir,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                process_group=0,
                preexec_fn=_entering(view, reason[1]) if view else None,  # noqa: PLW1509 - it has one thread
            )
        except subprocess.SubprocessError:
            raise OSError(os.read(reason[0], _CHUNK).decode(errors="replace")) from None
        finally:
            for descriptor in reason:
                os.close(descriptor)

    def _watch(self, outputs: Mapping[int, Sequence[Sink]], woken: int) -> None:
        """Return once the step's main process has ended, or is to be killed."""
        poll = select.poll()
        for descriptor in (*outputs, woken, self._orders):
            poll.register(descriptor, select.POLLIN)
        while self._code is None:
            ready = {descriptor for descriptor, _ in poll.poll()}
            for output in ready & outputs.keys():
                if _copy(output, outputs[output]) == b"":
                    poll.unregister(output)  # all writers have closed it
            if woken in ready:
                os.read(woken, _CHUNK)
            if self._orders in ready and not self._obey():
                return
            self._reap()

    def _obey(self) -> bool:
        """Forward SIGTERM. Return False if everything is to be killed, or the runner is gone."""
        order = os.read(self._orders, 1)
        if order == TERMINATE:
            self._signal(signal.SIGTERM)
        return order == TERMINATE

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):  # macOS returns EPERM if only zombies are left
            os.killpg(self._leader(), number)

    def _leader(self) -> int:
        assert self._process is not None  # noqa: S101 - started
        return self._process.pid

    def _end_all(self) -> int:
        self._signal(signal.SIGKILL)  # without /proc this is all that can be done
        left = end_all()
        if self._code is None and not left:
            self._reap(wait=True)
        self._reap()
        if self._code is None:  # it was sent SIGKILL; its exit status is unknown
            self._code = -signal.SIGKILL
        return len(left)

    def _reap(self, *, wait: bool = False) -> None:
        """Collect the exit status of all children, orphans too. `wait`: until the step's own is among them."""
        with suppress(ChildProcessError):
            while True:
                child, status = os.waitpid(-1, 0 if wait else os.WNOHANG)
                if child == self._leader():
                    self._code = os.waitstatus_to_exitcode(status)
                if child == 0 or (wait and child == self._leader()):
                    return


def _entering(view: FileView, reason: int) -> Callable[[], None]:
    """Return what gives the step its files. It writes into a pipe why that fails: the exception gets lost."""

    def entering() -> None:
        try:
            enter(view)
        except Exception as error:
            os.write(reason, str(error).encode())
            raise

    return entering


def _pipe() -> tuple[int, int]:
    output, theirs = os.pipe()
    os.set_blocking(output, False)
    return output, theirs


def _drain(output: int, sinks: Sequence[Sink]) -> None:
    for _ in range(_DRAIN):
        if not _copy(output, sinks):
            return


def _copy(output: int, sinks: Sequence[Sink]) -> bytes | None:
    """Copy one chunk of the step's output. Return None if there is none yet, empty at the end of all writers."""
    try:
        data = os.read(output, _CHUNK)
    except BlockingIOError:
        return None
    for write in sinks:
        write(data)
    return data
