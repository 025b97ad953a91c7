"""Submits one claimed run: the result is submitted, refused or postponed."""

from __future__ import annotations

import zlib
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog

from retrainer.util.failpoints import hit
from retrainer.workflows.base import AlreadyExists, Ambiguous, Later, Refused, Unanswered, WorkflowError
from retrainer.workflows.commit_gate import CommitGate, NotCommitted
from retrainer.workflows.template_check import TemplateCheck

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from retrainer.runs.run import Run
    from retrainer.util.clock import Clock
    from retrainer.workflows.base import Observed, Preparation, RunGateway, WorkflowEngine
    from retrainer.workflows.submit_throttle import SubmitThrottle

log = structlog.get_logger()

MARGIN = 1.0
"""Seconds of the lease that must remain after a request."""
TRIES = 3
LONGEST_WAIT = 60.0
TROUBLES = frozenset({"connect", "tls", "401", "429"})
"""Codes of Later that concern the server, not the run."""


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


class Sender:
    """Checks, creates and verifies Workflows. Thread-safe; ends early once `stop` is set."""

    def __init__(
        self,
        gateway: RunGateway,
        engine: WorkflowEngine,
        manifest_of: Callable[[Run], dict[str, Any]],
        *,
        clock: Clock,
        throttle: SubmitThrottle,
        request_timeout: float,
        count: Callable[[str], None],
        preparation: Preparation | None,
        stop: threading.Event,
    ) -> None:
        self._gateway = gateway
        self._engine = engine
        self._manifest_of = manifest_of
        self._clock = clock
        self._throttle = throttle
        self._request_timeout = request_timeout
        self._count = count
        self._preparation = preparation
        self._stop = stop
        self._check = TemplateCheck(engine, clock)

    def settle(self, claimed: ClaimedRun) -> None:
        """Submit, refuse or postpone one claimed run. If its lease expires, leave it as it is."""
        run = claimed.run
        if self._stop.is_set():
            claimed.confirm()
            self._gateway.postponed(run.id, "retrainer was stopped before it was submitted", 0.0)
            return
        try:
            if problems := self._check.problems(run):
                claimed.confirm()
                self._refuse(run, "; ".join(problems))
                return
            if claimed.gate is None and self._preparation is not None:
                self._preparation.prepare(run)
            uid = self._send(claimed, self._manifest_of(run))
        except (Refused, ValueError) as error:
            claimed.confirm()
            self._refuse(run, str(error))
        except WorkflowError as error:
            claimed.confirm()
            self._trouble(error)
            wait = _wait(run, error)
            log.warning("run.postponed", error=str(error), code=error.code, retry_after=wait, **names(run))
            self._gateway.postponed(run.id, str(error), wait)
        else:
            if uid is not None:
                self._gateway.submitted(run.id, uid)
                hit("after-submitted")
                log.info("run.submitted", uid=uid, **names(run))

    def _refuse(self, run: Run, message: str) -> None:
        log.warning("run.refused", error=message, **names(run))
        self._gateway.refused(run.id, message)

    def _send(self, claimed: ClaimedRun, manifest: dict[str, Any]) -> str | None:
        """Create the Workflow, retrying until the result is known. Return its uid; None if the lease is too short."""
        for attempt in range(TRIES):
            left = claimed.until - self._clock.monotonic() - MARGIN
            if left <= MARGIN:
                return None
            try:
                return self._create(claimed, manifest, timeout=min(self._request_timeout, left))
            except Ambiguous as error:
                self._trouble(error)
                found = self._engine.get(claimed.run.namespace, claimed.run.workflow)
                if found is not None:
                    return _ours(claimed.run, found)
                if attempt == TRIES - 1:
                    raise
                self._stop.wait(0.2 * 2**attempt)
        raise AssertionError("unreachable: the last attempt returns or raises")

    def _create(self, claimed: ClaimedRun, manifest: dict[str, Any], *, timeout: float) -> str:
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
            return _ours(run, found)
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

    def _trouble(self, error: WorkflowError) -> None:
        if isinstance(error, Ambiguous):
            self._throttle.failed()
        elif isinstance(error, Later) and error.code in TROUBLES:
            self._throttle.failed(error.retry_after)


def _ours(run: Run, found: Observed) -> str:
    """Return the uid of an existing Workflow if it is this run's; else raise Refused."""
    if found.run == run.id and found.name == run.workflow and run.uid in (None, found.uid):
        return found.uid
    whose = f"belongs to run {found.run}" if found.run else "is not from retrainer"
    raise Refused(
        f"NAME_CONFLICT: Workflow {run.namespace}/{run.workflow} exists already and {whose}: "
        "remove it and retry the run",
        code="NAME_CONFLICT",
    )


def _wait(run: Run, error: WorkflowError) -> float:
    """Return the seconds until the next attempt: growing, and spread by run id so that runs do not retry at once."""
    spread = 0.75 + zlib.crc32(run.id.encode()) % 1000 / 2000
    backoff = min(LONGEST_WAIT, 2.0 ** min(run.submit_attempts, 10)) * spread
    asked = error.retry_after if isinstance(error, Later) else None
    return max(backoff, asked or 0.0)


def tell_failure(event: str, error: Exception, **ids: Any) -> None:
    """Log a failure. If the store does not answer, use debug level: the store logs that itself, once."""
    if isinstance(error, Unanswered):
        log.debug(event, error=str(error), **ids)
    else:
        log.error(event, exc_info=error, **ids)


def names(run: Run) -> dict[str, str]:
    return {"rule": run.rule, "key": run.key, "run": run.id, "workflow": run.workflow}
