"""The interface of workflow engines, and their errors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from retrainer.runs.run import Run

Strategy = Literal["Stop", "Terminate"]


@dataclass(frozen=True, slots=True)
class Observed:
    """The observed state of a Workflow. ``phase`` is Argo's: empty, Pending, Running, Succeeded, Failed or Error.

    Times are seconds since the epoch. ``run``: the run id in its annotation (empty if it has none). ``deleting``: its
    deletion was requested. ``gone``: it does not exist any more.
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
    """It ended because of a shutdown request (Argo reports that as Failed)."""


@dataclass(frozen=True, slots=True)
class Template:
    """The parameters of a template; None as the value means required."""

    name: str
    parameters: Mapping[str, str | None]
    options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OutputQuery:
    """Which output of a Workflow's steps is read: the last ``tail`` lines of each.

    ``step``: only this step, if it is not empty.
    """

    tail: int
    step: str = ""

    def selects(self, step: str) -> bool:
        """Return whether a step is meant: by its name, or as an attempt, an item or a part of a step of that name."""
        return step == self.step or not self.step or step.startswith((f"{self.step}(", f"{self.step}."))


@dataclass(frozen=True, slots=True)
class StepOutput:
    """The newest output of one step, as it was written: at most `OUTPUT_LIMIT` bytes and the lines of the query.

    ``left_out``: there is more than that. ``note``: why there is no output, or not all of it.
    """

    step: str
    text: bytes
    left_out: bool = False
    note: str = ""


OUTPUT_LIMIT = 4 * 1024**2


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """One node of a Workflow: a pod, or a group of nodes. ``name`` is as in the logs, without that of the Workflow.

    ``kind`` and ``phase`` are Argo's words. ``parent``: id of the node that contains it; empty at the top.
    ``children``: ids of the nodes that it leads to. Times are seconds since the epoch.
    """

    id: str
    name: str
    kind: str
    phase: str
    template: str = ""
    message: str = ""
    started_at: float | None = None
    finished_at: float | None = None
    exit_code: str | None = None
    parent: str = ""
    children: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WorkflowNodes:
    """A Workflow with all its nodes, in any order. ``note``: why the nodes, or some of them, cannot be read."""

    workflow: Observed
    nodes: tuple[NodeStatus, ...]
    note: str = ""


class WorkflowError(Exception):
    """Base of all errors of a workflow engine. ``code`` is a short label for metrics (an HTTP status or a word)."""

    def __init__(self, message: str, *, code: str = "error") -> None:
        super().__init__(message)
        self.code = code


class Refused(WorkflowError):
    """The engine will never accept this: invalid, permanently forbidden, template missing."""


class Later(WorkflowError):
    """The engine does not accept this now: throttled, over quota, forbidden, unreachable. Nothing was created."""

    def __init__(self, message: str, *, code: str = "error", retry_after: float | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


class Ambiguous(WorkflowError):
    """It is unknown whether the request took effect: timeout, 5xx, lost connection. Find out with `get`."""


class AlreadyExists(WorkflowError):
    """A Workflow of that name exists. The caller must check whose it is."""


class NoOutput(WorkflowError):
    """There is no output of a Workflow's steps, and the message says why and where it may be found."""


def no_step(workflow: str, query: OutputQuery, steps: Iterable[str]) -> str:
    """Return the message of a query that selects no step of those that have started."""
    if not (started := ", ".join(steps)):
        return f"no step of Workflow {workflow} has started"
    return f"Workflow {workflow} has no step {query.step!r}; it has {started}"


class WorkflowEngine(Protocol):
    """Where workflows run. Each method is one request, bounded in time and thread-safe."""

    @property
    def watch_restarts(self) -> int:
        """Number of times `watch` had to restart because of an error."""

    @property
    def trouble(self) -> str:
        """Why Workflows cannot be watched now, as text; empty if they can."""

    def create(
        self, manifest: Mapping[str, Any], *, timeout: float, gate: Callable[[], None] | None = None
    ) -> Observed:
        """Create a Workflow. Raise Refused, Later, Ambiguous or AlreadyExists.

        It is not created before ``gate``, which may block, has returned, and not at all if that raises.
        """

    def get(self, namespace: str, name: str) -> Observed | None:
        """Return the whole Workflow with its outputs; None if it does not exist. Raise Later or Ambiguous."""

    def nodes(self, namespace: str, name: str) -> WorkflowNodes | None:
        """Return the Workflow with its nodes as they are now; None if it does not exist. Raise as `get`."""

    def stop(self, namespace: str, name: str, strategy: Strategy) -> None:
        """Request its end. No error if it is gone or has ended."""

    def release(self, namespace: str, name: str, uid: str) -> None:
        """Remove our finalizer. No error if the Workflow is gone, has no finalizer, or has another uid."""

    def template(self, namespace: str, name: str, *, cluster: bool) -> Template | None:
        """Return the parameters of a template; None if it does not exist. Raise Later or Ambiguous."""

    def outputs(self, namespace: str, name: str, query: OutputQuery) -> Iterator[StepOutput]:
        """Yield the output of the Workflow's steps, the oldest first, with one request for each.

        Raise NoOutput, Later, Ambiguous or Refused. A single step that cannot be read has a note instead.
        """

    def watch(self, report: Callable[[Observed], None], stop: threading.Event) -> None:
        """Report all Workflows of this instance: now, at each change of phase, and every few minutes, until `stop`."""

    def check(self) -> list[str]:
        """Return what is missing for the methods above (verbs, kinds, namespaces), as text; empty if nothing is."""


class Unanswered(Exception):
    """The store does not answer now. The store itself logs that; callers retry."""


class Preparation(Protocol):
    """Prepares external data that a run's Workflow reads."""

    def needed(self, run: Run) -> bool:
        """Return whether `prepare` would do anything. Never blocks."""

    def prepare(self, run: Run) -> None:
        """Return once the data is in place, which may take long. Raise WorkflowError if that fails."""


class RunGateway(Protocol):
    """The engine as seen by the submitter and the reconciler: each call is one transaction on the engine's thread.

    All methods block until committed, and raise Unanswered while the store cannot be used.
    """

    def claim(self, limit: int, lease: float) -> list[Run]:
        """Return up to `limit` admitted runs that are due, now SUBMITTING and leased for `lease` seconds.

        A SUBMITTING run whose lease expired (a crash, a frozen process) is returned again, under the same name.
        """

    def submitted(self, run: str, uid: str) -> None:
        """The Workflow exists: store its uid. Do nothing if the run has advanced further already."""

    def refused(self, run: str, message: str) -> None:
        """The Workflow will never be accepted: end the run as ERROR."""

    def postponed(self, run: str, message: str, retry_after: float) -> None:
        """Retry in `retry_after` seconds; until then the run shows the message."""

    def observed(self, seen: Sequence[Observed]) -> None:
        """Process observations in order: transitions become inputs of the engine, the rest is dropped."""

    def released(self, run: str) -> None:
        """Our finalizer was removed."""

    def to_stop(self) -> list[Run]:
        """Return live runs with a stop request, whose Workflow exists or may exist."""

    def to_release(self) -> list[Run]:
        """Return ended runs whose finalizer may still exist."""

    def live_ids(self) -> list[str]:
        """Return the ids of runs SUBMITTED or RUNNING: the reconciler must observe these, or fetch them by name."""

    def read_runs(self, ids: Iterable[str]) -> list[Run]:
        """Return the runs that exist; for some hundreds of ids at once."""
