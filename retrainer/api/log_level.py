"""The level of this replica's log, which can be changed while it runs."""

from typing import Any, Literal

import structlog
from fastapi import APIRouter

from retrainer.api.acting import Acts
from retrainer.api.views import RequestBody, View
from retrainer.telemetry import logs

Level = Literal["debug", "info", "warning", "error"]
log = structlog.get_logger()
router = APIRouter(tags=["daemon"])
"""Protected by the token. Under `/-/`, so that a replica changes its own level, and not the leader's."""


class LogLevelRequest(RequestBody):
    level: Level | None
    """null returns to the level of the settings."""


class LogLevel(View):
    level: Level
    """The least severe lines that are written now."""
    configured: Level
    """The level after a restart."""


@router.get("/-/log-level", response_model=LogLevel)
async def show_log_level() -> Any:
    """Level of the log of the replica that answers."""
    current, configured = logs.current_levels()
    return {"level": current, "configured": configured}


@router.put("/-/log-level", response_model=LogLevel)
async def change_log_level(acts: Acts, body: LogLevelRequest) -> Any:
    """Change the level of the log of the replica that answers, until it is restarted."""
    before = logs.current_levels()[0]
    acts.on("log_level", detail=body.level or "configured").outside(lambda: logs.change_level(body.level))
    current, configured = logs.current_levels()
    log.warning("log.level_changed", before=before, now=current)
    return {"level": current, "configured": configured}
