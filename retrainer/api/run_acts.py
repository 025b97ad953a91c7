"""How to end or repeat a run, and to report what became of its model."""

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body
from pydantic import ConfigDict

from retrainer.api.acting import Acts
from retrainer.api.context import ApiContext
from retrainer.api.description import problems
from retrainer.api.parameters import Context, IdempotencyKey, refusals
from retrainer.api.runs import KnownRun, RunDetail, possible_acts, run_detail
from retrainer.api.views import RequestBody
from retrainer.engine.commands import operator_commands
from retrainer.engine.commands.feedback import judge
from retrainer.runs.run import Run

router = APIRouter(prefix="/runs", tags=["runs"])


class CancelRequest(RequestBody):
    model_config = ConfigDict(json_schema_extra={"examples": [{"strategy": "Terminate"}]})

    strategy: Literal["Stop", "Terminate"] = "Stop"
    """`Stop` runs the workflow's exit handlers, `Terminate` does not."""


class RetryRequest(RequestBody):
    dry_run: bool = False
    """Only show the attempt that would be created, with what it would wait for. Its id is not used later."""


class FeedbackRequest(RequestBody):
    model_config = ConfigDict(json_schema_extra={"examples": [{"promoted": True}]})

    promoted: bool
    """Whether the model of the run was promoted."""


@router.post("/{run}/cancel", response_model=RunDetail, responses=problems(404, 409))
def cancel_run(
    api: Context, acts: Acts, run: KnownRun, ending: Annotated[CancelRequest, Body(default_factory=CancelRequest)]
) -> Any:
    """Request the end of a run. It has ended once its phase shows that."""
    with refusals():
        acts.on("cancel", run=run, detail=ending.strategy)(operator_commands.cancel, run, ending.strategy, acts.named())
    return run_detail(api, run)


@router.post("/{run}/retry", response_model=RunDetail, responses=problems(404, 409))
def retry_run(
    api: Context,
    acts: Acts,
    run: KnownRun,
    idempotency_key: IdempotencyKey = None,
    wanted: Annotated[RetryRequest | None, Body()] = None,
) -> Any:
    """Start another attempt of an ended run, with the same parameters."""
    with refusals():
        if wanted is not None and wanted.dry_run:
            return _planned(api, api.act(operator_commands.next_attempt, run))
        attempt = acts.on("retry", run=run)(operator_commands.retry, run, acts.named(), idempotency_key)
    return run_detail(api, attempt)


@router.post("/{run}/feedback", response_model=RunDetail, responses=problems(404, 409))
def report_feedback(api: Context, acts: Acts, run: KnownRun, verdict: FeedbackRequest) -> Any:
    """Report whether a run's model was promoted. Repeating a report changes nothing."""
    with refusals():
        outcome = "promoted" if verdict.promoted else "not promoted"
        acts.on("feedback", run=run, detail=outcome)(judge, run, promoted=verdict.promoted)
    return run_detail(api, run)


def _planned(api: ApiContext, run: Run) -> dict[str, Any]:
    return {**asdict(run), "phase": run.phase.value, **possible_acts(api, run)}
