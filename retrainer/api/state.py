"""Import of when models were trained before."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from retrainer.api import views
from retrainer.api.parameters import Instant, ServiceArgument

router = APIRouter(prefix="/state", tags=["rules"])


class Age(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    rule: Annotated[str, Field(max_length=63)]
    key: Annotated[str, Field(max_length=200)] = ""
    """Empty for rules without `for_each`."""
    succeeded_at: Instant | None = None
    """When the model was last trained, RFC 3339."""
    promoted_at: Instant | None = None
    """When a model was last promoted."""


class Ages(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    ages: Annotated[list[Age], Field(max_length=1000)]


@router.post("/import", response_model=views.Imported)
def import_ages(service: ServiceArgument, given: Ages) -> Any:
    """Import when models were last trained. Later times that are known already are kept."""
    return service.import_ages(
        [
            {
                "rule": age.rule,
                "key": age.key,
                "succeeded_at": _seconds(age.succeeded_at),
                "promoted_at": _seconds(age.promoted_at),
            }
            for age in given.ages
        ]
    )


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()
