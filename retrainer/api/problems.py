"""Errors as RFC 9457 problem details."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import structlog
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from retrainer.sources.base import Overloaded
from retrainer.sources.http.refusal import Refusal, not_now
from retrainer.store.base import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import Response

log = structlog.get_logger()
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def words(error: Exception) -> str:
    """Return the message of an error: str() of a KeyError is quoted."""
    return str(error.args[0]) if error.args else str(error)


def install(app: FastAPI) -> None:
    """Turn every error of an endpoint into a problem document."""
    handlers: dict[type[Exception], Callable[[Any], Response]] = {
        Refusal: lambda error: error.response(),
        HTTPException: _http,
        RequestValidationError: _invalid,
        Overloaded: lambda error: not_now(str(error), error.retry_after).response(),
        StoreError: lambda error: not_now(str(error), 5).response(),
        SQLAlchemyError: _store,
        TimeoutError: lambda _: not_now(
            "no answer from the engine in time; the request may still be processed", 5
        ).response(),
        Exception: _unexpected,
    }
    for kind, respond in handlers.items():
        app.add_exception_handler(kind, _handler(respond))


def _handler(respond: Callable[[Any], Response]) -> Callable[[Request, Exception], Any]:
    async def handle(request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException) and error.status_code in _ROUTED:
            return _ROUTED[error.status_code](request)
        return respond(error)

    return handle


def _http(error: HTTPException) -> Response:
    return Refusal(error.status_code, str(error.detail), error.headers).response()


def _no_path(request: Request) -> Response:
    return Refusal(404, f"there is no {request.url.path}; /api/v1/openapi.json lists what there is").response()


def _no_method(request: Request) -> Response:
    """Return 405. Starlette names the methods of the first route of a path, and a path has a route for each method."""
    allowed = [method for method in _METHODS if _served(request, method)]
    detail = f"{request.url.path} has no {request.method}: use {' or '.join(allowed)}"
    return Refusal(405, detail, {"Allow": ", ".join(allowed)}).response()


_ROUTED = {404: _no_path, 405: _no_method}
"""Answers to requests that no route takes."""


def _served(request: Request, method: str) -> bool:
    scope = {**request.scope, "method": method}
    return any(route.matches(scope)[0] is Match.FULL for route in request.app.routes)


def _invalid(error: RequestValidationError) -> Response:
    errors = [
        {"at": ".".join(str(part) for part in e["loc"]), "message": e["msg"].removeprefix("Value error, ")}
        for e in error.errors()
    ]
    content = {
        "type": "about:blank",
        "title": HTTPStatus.UNPROCESSABLE_ENTITY.phrase,
        "status": 422,
        "detail": "; ".join(f"{e['at']}: {e['message']}" for e in errors),
        "errors": errors,
    }
    return JSONResponse(content, 422, media_type="application/problem+json")


def _store(error: SQLAlchemyError) -> Response:
    log.error("web.store_unreadable", error=str(error))
    return not_now("the store cannot be read at the moment", 5).response()


def _unexpected(error: Exception) -> Response:
    log.error("web.failed", exc_info=error)
    return Refusal(500, "an internal error in retrainer; see its log").response()
