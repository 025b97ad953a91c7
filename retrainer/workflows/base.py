"""What every workflow engine offers, and how its errors are told apart."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from retrainer.runs.run import Run

Strategy = Literal["Stop", "Terminate"]


@dataclass(frozen=True, slots=True)
class Observed:
    """A Workflow as it was seen. ``phase`` is Argo's: empty, Pending, Running, Succeeded, Failed or Error.

    Times are seconds since the epoch. ``run`` is the run id on its annotation (empty if it carries none).
    ``deleting``: somebody asked for its removal. ``gone``: it is no longer there.
    """

    namespace: str
    name: str
    uid: str
    run: str
    phase: str
    message: str = ""
    started_at: float | None = None
    finished_at: float | None = None
    progress: str = ""
    outputs: Mapping[str, str] = field(default_factory=dict)
    resources: Mapping[str, float] = field(default_factory=dict)
    deleting: bool = False
    gone: bool = False
    stopped: bool = False
    """It ended because it was told to shut down (Argo reports that as Failed)."""


@dataclass(frozen=True, slots=True)
class Template:
    """The parameters that a template takes; a value of None means required."""

    name: str
    parameters: Mapping[str, str | None]
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


class WorkflowError(Exception):
    """Base of all errors of a workflow engine. ``code`` is a short label for metrics (an HTTP status or a word)."""

    def __init__(self, message: str, *, code: str = "error") -> None:
        super().__init__(message)
        self.code = code


class Refused(WorkflowError):
    """It will not take this, now or later: invalid, forbidden for good, template missing."""


class Later(WorkflowError):
    """It will not take this now: throttled, over quota, forbidden for the moment, not there. Nothing was created."""

    def __init__(self, message: str, *, code: str = "error", retry_after: float | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


class Ambiguous(WorkflowError):
    """Nobody knows whether it was taken: time-out, 5xx, connection cut. Settle it with `get`."""


class AlreadyExists(WorkflowError):
    """A Workflow of that name is there; whether it is ours must be examined."""


class WorkflowEngine(Protocol):
    """Where workflows run. Each method is one request, bounded in time, safe to call from several threads."""

    @property
    def watch_restarts(self) -> int:
        """How often `watch` had to begin anew because of an error."""

    @property
    def trouble(self) -> str:
        """Why Workflows cannot be followed for the moment, in words; empty if they can."""

    def create(
        self, manifest: Mapping[str, Any], *, timeout: float, gate: Callable[[], None] | None = None
    ) -> Observed:
        """Create it. Raise Refused, Later, Ambiguous or AlreadyExists.

        It does not exist before ``gate``, which may block, has returned; nothing is created if that raises.
        """

    def get(self, namespace: str, name: str) -> Observed | None:
        """Fetch it whole, outputs included; None if it is not there. Raise Later or Ambiguous."""

    def stop(self, namespace: str, name: str, strategy: Strategy) -> None:
        """Ask it to end; no error if it is gone or has ended."""

    def release(self, namespace: str, name: str, uid: str) -> None:
        """Take our finalizer off; no error if it is gone, has none, or is another Workflow of that name."""

    def template(self, namespace: str, name: str, *, cluster: bool) -> Template | None:
        """The parameters of a template; None if there is none of that name. Raise Later or Ambiguous."""

    def watch(self, report: Callable[[Observed], None], stop: threading.Event) -> None:
        """Report every Workflow of this instance now, at each change of phase and every few minutes, until `stop`."""

    def check(self) -> list[str]:
        """What is missing to do all of the above (verbs, kinds, namespaces), in words; empty if nothing is."""


class Unanswered(Exception):
    """The store does not answer for the moment. Whoever keeps it says so; those who wait for it try again."""


class Preparation(Protocol):
    """Has in place what a run's Workflow reads from elsewhere."""

    def needed(self, run: Run) -> bool:
        """Whether `prepare` would do anything. Never blocks."""

    def prepare(self, run: Run) -> None:
        """Return once it is there, which may take long. Raise WorkflowError if that cannot be."""


class RunGateway(Protocol):
    """The engine, as the submitter and the watcher see it: each call is one transaction on the engine's thread.

    All block until committed, and raise Unanswered while the store cannot be used.
    """

    def claim(self, limit: int, lease: float) -> list[Run]:
        """Up to `limit` admitted runs whose turn has come, now SUBMITTING and leased for `lease` seconds.

        A run SUBMITTING whose lease ran out (a crash, a frozen process) comes again, under the same name.
        """

    def submitted(self, run: str, uid: str) -> None:
        """The Workflow exists; store its uid. Does nothing if the run has gone further already."""

    def refused(self, run: str, message: str) -> None:
        """It will never be taken: the run ends as ERROR."""

    def postponed(self, run: str, message: str, retry_after: float) -> None:
        """Try again in so many seconds; the message stands on the run meanwhile."""

    def observed(self, seen: Sequence[Observed]) -> None:
        """What the watcher saw, in order: transitions become inputs of the engine, the rest is dropped."""

    def released(self, run: str) -> None:
        """Our finalizer is off."""

    def to_stop(self) -> list[Run]:
        """Live runs with a stop request, whose Workflow exists or may exist."""

    def to_release(self) -> list[Run]:
        """Ended runs whose finalizer may still be on."""

    def live_ids(self) -> list[str]:
        """Runs SUBMITTED or RUNNING, by id: what the watcher must find, or ask for by name."""

    def read_runs(self, ids: Iterable[str]) -> list[Run]:
        """Those that there are; some hundreds at once."""
