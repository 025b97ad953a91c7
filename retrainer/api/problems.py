"""Errors as RFC 9457 problem details."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import structlog
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from retrainer.sources.base import Overloaded
from retrainer.sources.http.refusal import Refusal, not_now
from retrainer.store.base import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import Response

log = structlog.get_logger()


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
    async def handle(_: Request, error: Exception) -> Response:
        return respond(error)

    return handle


def _http(error: HTTPException) -> Response:
    return Refusal(error.status_code, str(error.detail), error.headers).response()


def _invalid(error: RequestValidationError) -> Response:
    errors = [{"at": ".".join(str(part) for part in e["loc"]), "message": e["msg"]} for e in error.errors()]
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
