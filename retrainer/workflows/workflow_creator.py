"""Creates the Workflow of one claimed run, and finds out whose it is if the result of the request is unknown."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from retrainer.util.failpoints import hit
from retrainer.workflows.base import AlreadyExists, Ambiguous, Refused, WorkflowError
from retrainer.workflows.commit_gate import CommitGate, NotCommitted

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from retrainer.runs.run import Run
    from retrainer.util.clock import Clock
    from retrainer.workflows.base import Observed, WorkflowEngine
    from retrainer.workflows.submit_throttle import SubmitThrottle

MARGIN = 1.0
"""Seconds of the lease that must remain after a request."""
TRIES = 3


class ClaimedRun(NamedTuple):
    run: Run
    until: float
    """End of the lease, on the monotonic clock."""
    gate: CommitGate | None = None
    """Set if the run is not committed yet: until then nothing may be stored about it or created.

    Such a run needs no preparation, because the API server is waiting for the rest of its request.
    """

    def confirm(self) -> None:
        """Return once the run is committed. Raise NotCommitted."""
        if self.gate is not None:
            self.gate.wait()


class WorkflowCreator:
    """Thread-safe. Ends early once `stop` is set. `count` is called with the code of each response."""

    def __init__(
        self,
        engine: WorkflowEngine,
        clock: Clock,
        throttle: SubmitThrottle,
        *,
        request_timeout: float,
        count: Callable[[str], None],
        stop: threading.Event,
    ) -> None:
        self._engine, self._clock, self._throttle = engine, clock, throttle
        self._request_timeout = request_timeout
        self._count = count
        self._stop = stop

    def create(self, claimed: ClaimedRun, manifest: dict[str, Any]) -> str | None:
        """Create the Workflow, retrying until the result is known. Return its uid; None if the lease is too short."""
        for attempt in range(TRIES):
            left = claimed.until - self._clock.monotonic() - MARGIN
            if left <= MARGIN:
                return None
            try:
                return self._request(claimed, manifest, timeout=min(self._request_timeout, left))
            except Ambiguous as error:
                self._throttle.record(error)
                found = self._engine.get(claimed.run.namespace, claimed.run.workflow)
                if found is not None:
                    return _uid_if_ours(claimed.run, found)
                if attempt == TRIES - 1:
                    raise
                self._stop.wait(0.2 * 2**attempt)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _request(self, claimed: ClaimedRun, manifest: dict[str, Any], *, timeout: float) -> str:
        run = claimed.run
        gate = None if claimed.gate is None else partial(self._pass_gate, claimed)
        if gate is None:
            hit("before-post")
        try:
            created = self._engine.create(manifest, timeout=timeout, gate=gate)
        except AlreadyExists as error:
            self._count(error.code)
            found = self._engine.get(run.namespace, run.workflow)
            if found is None:
                raise Ambiguous(str(error), code="vanished") from error
            return _uid_if_ours(run, found)
        except WorkflowError as error:
            self._count(error.code)
            raise
        hit("after-post")
        self._count("ok")
        self._throttle.succeeded()
        return created.uid

    def _pass_gate(self, claimed: ClaimedRun) -> None:
        """Run between the commit and the creation. Raise NotCommitted, also if too little of the lease is left."""
        claimed.confirm()
        if claimed.until - self._clock.monotonic() <= MARGIN:
            raise NotCommitted
        hit("before-post")


def _uid_if_ours(run: Run, found: Observed) -> str:
    """Return the uid of an existing Workflow if it is this run's; else raise Refused."""
    if found.run == run.id and found.name == run.workflow and run.uid in (None, found.uid):
        return found.uid
    whose = f"belongs to run {found.run}" if found.run else "is not from retrainer"
    raise Refused(
        f"NAME_CONFLICT: Workflow {run.namespace}/{run.workflow} exists already and {whose}: "
        "remove it and retry the run",
        code="NAME_CONFLICT",
    )
