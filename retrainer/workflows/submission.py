"""Submits one claimed run: the result is submitted, refused or postponed."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from retrainer.util.failpoints import hit
from retrainer.workflows.base import Later, Refused, Unanswered, WorkflowError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from retrainer.runs.run import Run
    from retrainer.workflows.base import Preparation, RunGateway
    from retrainer.workflows.submit_throttle import SubmitThrottle
    from retrainer.workflows.template_check import TemplateCheck
    from retrainer.workflows.workflow_creator import ClaimedRun, WorkflowCreator

log = structlog.get_logger()

LONGEST_WAIT = 60.0


@dataclass(frozen=True, slots=True)
class WorkflowContent:
    """What the Workflow of a run consists of: its manifest, and the external data that it reads, if any."""

    manifest_of: Callable[[Run], dict[str, Any]]
    preparation: Preparation | None = None


class Submission:
    """Checks and submits runs, and stores the result. Thread-safe. Postpones all runs once `stop` is set."""

    def __init__(
        self,
        gateway: RunGateway,
        check: TemplateCheck,
        content: WorkflowContent,
        creator: WorkflowCreator,
        throttle: SubmitThrottle,
        stop: threading.Event,
    ) -> None:
        self._gateway, self._check, self._content = gateway, check, content
        self._creator, self._throttle, self._stop = creator, throttle, stop

    def settle(self, claimed: ClaimedRun) -> None:
        """Submit, refuse or postpone one claimed run. If its lease expires, leave it as it is."""
        run = claimed.run
        if self._stop.is_set():
            claimed.confirm()
            self._gateway.postponed(run.id, "retrainer was stopped before it was submitted", 0.0)
            return
        try:
            uid = self._create(claimed)
        except (Refused, ValueError) as error:
            claimed.confirm()
            log.warning("run.refused", error=str(error), **names(run))
            self._gateway.refused(run.id, str(error))
        except WorkflowError as error:
            claimed.confirm()
            self._throttle.record(error)
            wait = _wait(run, error)
            log.warning("run.postponed", error=str(error), code=error.code, retry_after=wait, **names(run))
            self._gateway.postponed(run.id, str(error), wait)
        else:
            if uid is not None:
                self._gateway.submitted(run.id, uid)
                hit("after-submitted")
                log.info("run.submitted", uid=uid, **names(run))

    def _create(self, claimed: ClaimedRun) -> str | None:
        """Check the parameters, prepare data and create the Workflow. Return as `WorkflowCreator.create`."""
        run, preparation = claimed.run, self._content.preparation
        if problems := self._check.problems(run):
            raise Refused("; ".join(problems))
        if claimed.gate is None and preparation is not None:
            preparation.prepare(run)
        return self._creator.create(claimed, self._content.manifest_of(run))


def _wait(run: Run, error: WorkflowError) -> float:
    """Return the seconds until the next attempt: growing, and spread by run id so that runs do not retry at once."""
    spread = 0.75 + zlib.crc32(run.id.encode()) % 1000 / 2000
    backoff = min(LONGEST_WAIT, 2.0 ** min(run.submit_attempts, 10)) * spread
    requested = error.retry_after if isinstance(error, Later) else None
    return max(backoff, requested or 0.0)


def log_failure(event: str, error: Exception, **ids: Any) -> None:
    """Log a failure. If the store does not answer, use debug level: the store logs that itself, once."""
    if isinstance(error, Unanswered):
        log.debug(event, error=str(error), **ids)
    else:
        log.error(event, exc_info=error, **ids)


def names(run: Run) -> dict[str, str]:
    return {"rule": run.rule, "key": run.key, "run": run.id, "workflow": run.workflow}
