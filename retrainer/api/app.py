"""The web application: API, webhooks, metrics and probes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, FastAPI, Security
from fastapi.security import HTTPBearer

from retrainer.api import backfills, daemon, ledger, problems, rules, run_logs, runs, sources, state
from retrainer.api.guard import Guard, check_bind
from retrainer.api.parameters import PROBLEMS

if TYPE_CHECKING:
    from retrainer.api.context import ApiContext

__all__ = ["build", "check_bind", "openapi"]

_DESCRIPTION = """\
Times are RFC 3339 in UTC. Lists are paged: ask again with `cursor` set to `next` until it is null. Errors are problem
details (RFC 9457). With `http.token` set, send it as `Authorization: Bearer …`. Webhooks listen under `/hooks/`, where
the configuration says."""


def build(context: ApiContext) -> FastAPI:
    """Create the application of a daemon."""
    app = _application()
    app.state.context = context
    app.add_middleware(Guard, context=context)
    problems.install(app)
    return app


def openapi() -> dict[str, Any]:
    """Return the OpenAPI description, which is also in docs/reference/openapi.json."""
    return _application().openapi()


def _application() -> FastAPI:
    app = FastAPI(
        title="retrainer",
        version="v1",
        description=_DESCRIPTION,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
    )
    # The guard checks the token; this only adds it to the description.
    token = Security(HTTPBearer(auto_error=False, scheme_name="token"))
    api = APIRouter(prefix="/api/v1", dependencies=[token], responses=PROBLEMS)
    for part in (rules, backfills, runs, run_logs, sources, state, ledger):
        api.include_router(part.router)
    api.include_router(daemon.status_router)
    app.include_router(api)
    app.include_router(daemon.router)
    return app
