"""Sources: their state, resetting a partition, and replays."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from retrainer.api import views
from retrainer.api.parameters import Context, refusals

router = APIRouter(prefix="/sources", tags=["sources"])
Name = Annotated[str, Path(description="Name of a source", max_length=63)]


class Resetting(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    partition: Annotated[str, Field(min_length=1, max_length=1024)]
    """A partition as named by `GET /sources/{source}`: for Kafka, `topic/partition`."""
    to: Literal["earliest", "latest"] | Annotated[int, Field(ge=0, le=2**63 - 1)]
    """Where to continue: at the first existing record, after the last one, or at an offset."""


class Replaying(BaseModel):
    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    from_: Annotated[str, Field(alias="from", max_length=64)]
    """RFC 3339 with a zone, or a duration before now, such as `7d`."""
    to: Annotated[str, Field(max_length=64)] | None = None
    """The same; now if not given."""
    rules: Annotated[list[str], Field(max_length=10_000)] = []
    """Rules to replay for; all rules of the source if not given."""
    dry_run: bool = False
    """Only count what would happen."""


@router.get("", response_model=views.Page[views.Source])
def list_sources(api: Context) -> Any:
    """All sources with their state."""
    return {"items": api.sources.summaries()}


@router.get("/{source}", response_model=views.SourceDetail)
def show_source(api: Context, source: Name) -> Any:
    """One source, the position of each partition, and its configuration."""
    with refusals():
        return api.sources.detail(source)


@router.post("/{source}/reset", response_model=views.Reset)
def reset_source(api: Context, source: Name, resetting: Resetting) -> Any:
    """Set where a partition continues, whatever its stored position. Records in between are skipped, or read again."""
    with refusals():
        return api.sources.reset(source, resetting.partition, resetting.to)


@router.post("/{source}/replay", response_model=views.Replay, status_code=202)
def replay_source(api: Context, source: Name, replaying: Replaying) -> Any:
    """Start to read a source again. What a rule counted before is not counted again."""
    with refusals(422):
        return api.sources.replay(source, replaying.from_, replaying.to, replaying.rules, dry_run=replaying.dry_run)


@router.get("/{source}/replay", response_model=views.Replay)
def show_replay(api: Context, source: Name) -> Any:
    """Progress of the last replay of a source."""
    with refusals():
        return api.sources.replay_progress(source)


@router.delete("/{source}/replay", response_model=views.Replay)
def cancel_replay(api: Context, source: Name) -> Any:
    """Request the end of a replay. It has ended once its state shows that. What was stored stays."""
    with refusals():
        return api.sources.cancel_replay(source)
