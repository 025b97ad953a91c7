"""The web application: API, webhooks, metrics and probes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Depends, FastAPI, Security
from fastapi.security import HTTPBearer

from retrainer.api import (
    activity,
    backfills,
    daemon,
    dead_letters,
    hooks,
    ledger,
    limits,
    log_level,
    many_rules,
    overview,
    problems,
    rule_files,
    rule_keys,
    rule_lists,
    rule_series,
    rule_tests,
    rules,
    run_acts,
    run_chain,
    run_logs,
    run_workflow,
    runs,
    sessions,
    simulations,
    sources,
    state,
    store_backup,
    upcoming,
)
from retrainer.api.description import describe
from retrainer.api.event_counts import EventCounts
from retrainer.api.external import WithoutPrefix, prefix_of
from retrainer.api.guard import Guard, check_bind
from retrainer.api.overviews import Overviews
from retrainer.api.representation import Compressed, Conditional
from retrainer.api.sight import Sights, check_place
from retrainer.api.tokens import Tokens
from retrainer.ui.serve import routes

if TYPE_CHECKING:
    from retrainer.api.context import ApiContext

__all__ = ["build", "check_bind", "openapi"]

_AUTHENTICATION = "`http.token`, or one of `http.tokens` with the verb. None is needed if neither is set."


class _Application(FastAPI):
    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            self.openapi_schema = describe(self)
        return self.openapi_schema


def build(context: ApiContext) -> FastAPI:
    """Create the application of a daemon."""
    app = _application()
    http = context.settings.http
    app.router.routes.extend(routes(prefix_of(http)))
    app.state.context = context
    app.state.sights = Sights(context)
    app.state.overviews = Overviews(context)
    app.state.event_counts = EventCounts(context.engine.store, context.engine.clock.monotonic)
    app.add_middleware(Conditional)
    app.state.tokens = Tokens(http)
    app.add_middleware(Guard, context=context, tokens=app.state.tokens)
    app.add_middleware(Compressed)
    app.add_middleware(WithoutPrefix, prefix=prefix_of(http))
    problems.install(app)
    return app


def openapi() -> dict[str, Any]:
    """Return the OpenAPI description, which is also in docs/reference/openapi.json."""
    return _application().openapi()


def _application() -> FastAPI:
    app = _Application(
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
    )
    # The guard checks the token; this only adds it to the description.
    token = Security(HTTPBearer(auto_error=False, scheme_name="token", description=_AUTHENTICATION))
    api = APIRouter(prefix="/api/v1", dependencies=[token, Depends(check_place)])
    of_runs = (runs, run_acts, run_logs, run_workflow, run_chain)
    parts = (
        rule_lists,
        rules,
        many_rules,
        rule_series,
        rule_files,
        rule_keys,
        rule_tests,
        backfills,
        *of_runs,
        sources,
        state,
        ledger,
        dead_letters,
        store_backup,
        activity,
        upcoming,
        simulations,
        limits,
    )
    for part in parts:
        api.include_router(part.router)
    api.include_router(daemon.status_router)
    api.include_router(overview.router)
    app.include_router(api)
    app.include_router(daemon.reload_router, dependencies=[token, Depends(check_place)])
    app.include_router(log_level.router, dependencies=[token, Depends(check_place)])
    app.include_router(sessions.router, dependencies=[token, Depends(check_place)])
    app.include_router(daemon.router)
    app.include_router(hooks.router)
    return app
