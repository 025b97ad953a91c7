"""The address at which people reach the daemon, which may be that of a proxy with a path of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode, urlsplit

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from retrainer.config.settings import Http


def prefix_of(http: Http) -> str:
    """Return the path of `external_url` without a slash at its end; empty if it has none."""
    return urlsplit(http.external_url or "").path.rstrip("/")


def page_of(http: Http, *path: str, **query: str) -> str:
    """Return the address of a screen of the page. Without `external_url` it begins with `/ui/`."""
    shown = "".join(f"/{quote(part, safe='')}" for part in path)
    asked = urlencode({name: value for name, value in query.items() if value}, safe=":")
    return f"{(http.external_url or '').rstrip('/')}/ui{shown}" + (f"?{asked}" if asked else "")


class WithoutPrefix:
    """Removes the prefix from a request's path, if the proxy has left it there."""

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app, self._prefix = app, prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope.get("path", "")
        if scope["type"] == "http" and self._prefix and (path + "/").startswith(f"{self._prefix}/"):
            scope = {**scope, "path": path.removeprefix(self._prefix) or "/"}
        await self._app(scope, receive, send)
