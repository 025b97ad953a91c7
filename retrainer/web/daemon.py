"""The daemon itself: probes, metrics, reload, and where everything is."""

from typing import Any

import prometheus_client
from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response

from retrainer.web import views
from retrainer.web.asking import PROBLEMS, Asked

router = APIRouter(tags=["daemon"])


@router.get("/", include_in_schema=False)
async def index(service: Asked) -> dict[str, Any]:
    """Where to go from here."""
    return {
        "name": "retrainer",
        "instance": service.settings.name,
        "links": {
            "api": "/api/v1/openapi.json",
            "rules": "/api/v1/rules",
            "runs": "/api/v1/runs",
            "sources": "/api/v1/sources",
            "metrics": "/metrics",
            "health": "/healthz",
            "readiness": "/readyz",
        },
    }


@router.get("/healthz", response_model=views.Health, responses={503: {"model": views.Health}})
async def health(service: Asked) -> Any:
    """Tell whether the engine is alive; asks nobody."""
    reasons = service.health()
    return JSONResponse({"status": "stuck" if reasons else "ok", "reasons": reasons}, 503 if reasons else 200)


@router.get("/readyz", response_model=views.Readiness, responses={503: {"model": views.Readiness}})
def ready(service: Asked) -> Any:
    """Tell whether it takes events in and decides."""
    reasons = service.ready()
    told = {"ready": not reasons, "reasons": reasons, "waiting": service.waiting()}
    return JSONResponse(told, 503 if reasons else 200)


@router.get("/metrics", response_class=Response)
def metrics(service: Asked) -> Response:
    """Everything for Prometheus."""
    return Response(service.metrics(), headers={"Content-Type": prometheus_client.CONTENT_TYPE_LATEST})


@router.post("/-/reload", response_model=views.Reloaded, responses=PROBLEMS)
def reload(service: Asked) -> Any:
    """Look at the rule files now. What is broken keeps its last good text, and is named under `problems`."""
    return service.reload()
