"""Logs of runs: what the steps of their Workflows wrote, as text."""

from collections.abc import Iterator
from itertools import chain
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from retrainer.api.description import problems
from retrainer.api.parameters import Context
from retrainer.api.runs import KnownRun
from retrainer.sources.http.refusal import Refusal, not_now
from retrainer.store import run_statements
from retrainer.telemetry.secrets import SECRETS
from retrainer.util.counts import many
from retrainer.workflows.base import NoOutput, OutputQuery, Refused, StepOutput, WorkflowError

router = APIRouter(prefix="/runs", tags=["runs"])
MOST = 16 * 1024**2
"""Bytes of output in one answer."""
RETRY_AFTER = 5.0

Tail = Annotated[int, Query(ge=1, le=100_000, description="The last lines of each step")]
Step = Annotated[str, Query(max_length=256, description="Only this step, with its attempts, items and parts")]


class PlainText(StreamingResponse):
    media_type = "text/plain"


@router.get("/{run}/logs", response_class=PlainText, responses=problems(404, 409))
def show_logs(api: Context, run: KnownRun, tail: Tail = 1000, step: Step = "") -> PlainText:
    """What the steps of a run wrote, each line after the step's name. Lines in parentheses say what is left out."""
    found = api.read(run_statements.run, run)
    if found is None:
        raise Refusal(404, f"there is no run {run}")
    if found.uid is None:
        raise Refusal(409, f"run {run} is {found.phase}: it has no Workflow, so there is no log")
    try:
        steps = api.outputs(found.namespace, found.workflow, OutputQuery(tail, step))
        return PlainText(_bounded(chain([next(steps)], steps)))
    except (NoOutput, Refused) as error:
        raise Refusal(404, str(error)) from None
    except WorkflowError as error:
        raise not_now(str(error), getattr(error, "retry_after", None) or RETRY_AFTER) from None


def _bounded(steps: Iterator[StepOutput]) -> Iterator[str]:
    """Yield the text of each step, at most `MOST` bytes of output together."""
    left = MOST
    try:
        for step in steps:
            if len(step.text) > left:
                yield f"(the answer ends here, with {MOST // 1024**2} MiB: read step {step.step}, or fewer lines)\n"
                return
            left -= len(step.text)
            yield rendered(step)
    except WorkflowError as error:  # the answer has begun already
        yield SECRETS.mask(f"(the answer ends here: {error})") + "\n"


def rendered(step: StepOutput) -> str:
    """Return the lines of a step after its name, with secrets masked. Of a line that was overwritten, the last text."""
    lines = [line.rstrip("\r").rpartition("\r")[2] for line in step.text.decode(errors="replace").split("\n")]
    if lines[-1] == "":
        lines.pop()
    if step.left_out:
        lines.insert(0, f"(earlier output is left out: these are the last {many(len(lines), 'line')})")
    if step.note or not lines:
        lines.append(f"({step.note or 'no output'})")
    return "".join(f"{step.step}: {SECRETS.mask(line)}\n" for line in lines)
