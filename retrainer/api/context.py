"""What the API's handlers use of a daemon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, TypeVar

from retrainer.api.recorder import Recorder
from retrainer.telemetry.process_metrics import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sqlalchemy import Connection
    from starlette.types import ASGIApp

    from retrainer.api.activity_log import ActivityLog
    from retrainer.api.certificate import ServedCertificate
    from retrainer.api.changes import Changes
    from retrainer.api.rule_summaries import RuleLines
    from retrainer.api.source_operations import SourceOperations
    from retrainer.config.last_known_good import Loaded
    from retrainer.config.settings import Settings
    from retrainer.engine.core.engine import Engine
    from retrainer.engine.core.notifications import ActRecorded
    from retrainer.engine.core.transaction import Transaction
    from retrainer.runs.run import Run
    from retrainer.simulate.whatif.simulations import Simulations
    from retrainer.telemetry.metrics import Metrics
    from retrainer.workflows.base import OutputQuery, StepOutput, WorkflowNodes

P = ParamSpec("P")
T = TypeVar("T")
PATIENCE = 20.0
"""Seconds that a request waits for the engine's commit."""


class WaitingComponent(Waiting, Protocol):
    """A component that cannot work, and why."""

    @property
    def error(self) -> str: ...
    @property
    def in_words(self) -> str:
        """One clause without ``error``, which is public."""


@dataclass(frozen=True, slots=True)
class ApiContext:
    """The parts of the daemon behind the API. Calls may block, and are thread-safe.

    An unknown rule, run, source or key raises LookupError. What cannot be done now or with these values raises
    ValueError; Busy if the same operation is in progress. All messages are meant for the user.
    """

    settings: Settings
    engine: Engine
    metrics: Metrics
    rules: RuleLines
    changes: Changes
    sources: SourceOperations
    namespace: str
    """Namespace of rules that name none."""
    activity: ActivityLog
    simulations: Simulations
    webhooks: ASGIApp
    """Serves `/hooks/` in the web server's loop."""
    leader: Callable[[], str]
    """Returns the URL of the leader; empty if this replica is the leader, or there is none."""
    workflow_of: Callable[[Run], dict[str, Any]]
    """Returns the Workflow of a run."""
    outputs: Callable[[str, str, OutputQuery], Iterator[StepOutput]]
    """Returns the output of a Workflow's steps, by namespace and name. Raises WorkflowError."""
    nodes: Callable[[str, str], WorkflowNodes | None]
    """Returns a Workflow with its nodes, by namespace and name; None if it does not exist. Raises WorkflowError."""
    loaded: Callable[[], Loaded]
    """Returns the rules in force, with the texts of their files. Before the first load there are none to ask for."""
    reload: Callable[[], dict[str, Any]]
    """Reads the rule files now. Returns revision, changed, problems, dropped."""
    rule_problems: Callable[[], Sequence[str]]
    """Returns the mistakes in rule files, as text. The last good text of these files is in force."""
    unready: Callable[[], list[str]]
    """Returns why it is not ready, as text; empty if it is."""
    waiting: Callable[[], Sequence[WaitingComponent]]
    """Returns components that wait for a server or an operator; of these only the store makes the daemon unready."""
    stuck: Callable[[], list[str]]
    """Returns why a restart would help; empty if nothing hangs. Depends on no server, and never blocks."""
    certificate: ServedCertificate | None = None
    """That of the web server; None if it serves plain HTTP."""

    def read(self, query: Callable[Concatenate[Connection, P], T], /, *args: P.args, **filters: P.kwargs) -> T:
        """Run a short, paged read on the store."""
        return self.engine.store.read(lambda conn: query(conn, *args, **filters))

    def recording(self, act: ActRecorded) -> Recorder:
        """Return what runs the commands of an act like `act`, and records it."""
        return Recorder(self.act, self.activity, act)

    def act(self, command: Callable[Concatenate[Transaction, P], T], /, *args: P.args, **options: P.kwargs) -> T:
        """Run a command in the engine, and return its result after the commit."""
        return self.engine.act(lambda tx: command(tx, *args, **options)).result(PATIENCE)
