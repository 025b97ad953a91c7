"""Signing in to the page, and out."""

from typing import Annotated, Any
from urllib.parse import urlsplit

import structlog
from fastapi import APIRouter, Header, Response
from starlette.requests import Request

from retrainer.api import session
from retrainer.api.parameters import Context
from retrainer.api.sight import caller_of, user_of
from retrainer.api.views import View
from retrainer.config.settings import Verb

log = structlog.get_logger()
router = APIRouter(prefix="/-/session", tags=["daemon"])
"""Under `/-/`: each replica answers for itself, also without a leader."""


class SessionView(View):
    name: str
    """Name of the token; empty if none was sent, `anonymous` if the daemon needs none."""
    user: str = ""
    """Whom the request names, such as a proxy that has signed them in."""
    verbs: list[Verb]
    namespaces: list[str] | None
    """Namespaces that it may see and act on; null for all."""
    instance: str
    """Name of the daemon."""


@router.get("", response_model=SessionView, openapi_extra={"security": [{}]})  # a token is possible, not needed
async def show_session(api: Context, request: Request) -> Any:
    """Who sends the request, by token or by cookie, and what this caller may do."""
    caller = caller_of(request)
    namespaces = None if caller.namespaces is None else sorted(caller.namespaces)
    return {
        "name": caller.name,
        "user": user_of(request),
        "verbs": sorted(caller.verbs),
        "namespaces": namespaces,
        "instance": api.settings.name,
    }


@router.post("", response_model=SessionView)
async def begin_session(
    api: Context, request: Request, response: Response, origin: Annotated[str, Header(max_length=1024)] = ""
) -> Any:
    """Set a cookie that stands for the token of this request for twelve hours, or until the token is rotated."""
    caller = caller_of(request)
    value = request.app.state.tokens.session_of(caller.name, api.engine.clock.now())
    if value is not None:
        response.set_cookie(
            session.cookie_name(api.settings.name),
            value,
            max_age=int(session.LENGTH),
            secure=request.url.scheme == "https" or urlsplit(origin).scheme == "https",
            httponly=True,
            samesite="strict",
        )
        log.info("api.signed_in", by=caller.name)
    return await show_session(api, request)


@router.delete("", status_code=204)
async def end_session(api: Context, response: Response) -> None:
    """Remove the cookie."""
    response.delete_cookie(session.cookie_name(api.settings.name), httponly=True, samesite="strict")
