"""Import of when models were trained before."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import ConfigDict, Field, PlainSerializer

from retrainer.api.acting import Acts
from retrainer.api.parameters import Instant
from retrainer.api.views import PRINTABLE, RequestBody, View
from retrainer.engine.commands import long_commands
from retrainer.util.counts import many

router = APIRouter(prefix="/state", tags=["rules"])
Seconds = Annotated[Instant, PlainSerializer(datetime.timestamp)]
"""A time that `model_dump` returns in seconds since the epoch."""


class NotImported(View):
    line: int
    """Counted from 1."""
    error: str


class Imported(View):
    imported: int
    failed: list[NotImported]


class Age(RequestBody):
    rule: Annotated[str, Field(max_length=63, pattern=PRINTABLE)]
    key: Annotated[str, Field(max_length=200, pattern=PRINTABLE)] = ""
    """Empty for rules without `for_each`."""
    succeeded_at: Seconds | None = None
    """When the model was last trained, RFC 3339."""
    promoted_at: Seconds | None = None
    """When a model was last promoted."""


class ImportRequest(RequestBody):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"ages": [{"rule": "churn", "key": "de", "succeeded_at": "2026-11-24T08:00:00Z"}]}]
        }
    )

    ages: Annotated[list[Age], Field(max_length=1000)]


@router.post("/import", response_model=Imported)
def import_ages(acts: Acts, given: ImportRequest) -> Any:
    """Import when models were last trained. Later times that are known already are kept."""
    act = acts.on("import_state", detail=many(len(given.ages), "line"))
    return long_commands.import_ages(act, [age.model_dump() for age in given.ages])
