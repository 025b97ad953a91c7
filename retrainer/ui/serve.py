"""Serves the page: one document for every address below `/ui/`, and the files that it loads.

The files are built by `make ui` and are in `static/`. The name of a file contains a hash of its content, so browsers
keep it for ever; they request the document each time.
"""

from __future__ import annotations

import mimetypes
from functools import lru_cache, partial
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from retrainer.sources.http.refusal import Refusal

if TYPE_CHECKING:
    from starlette.requests import Request

_STATIC = files("retrainer.ui") / "static"
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'self'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_FOR_EVER = "public, max-age=31536000, immutable"


def routes(prefix: str = "") -> list[Route]:
    """Return what serves the page. ``prefix`` is the path of the daemon for browsers, without a slash at its end."""
    return [
        Route("/ui", partial(_to_page, prefix)),
        Route("/ui/assets/{name}", _asset),
        Route("/ui/icon.svg", _icon),
        Route("/ui/{path:path}", partial(_document, prefix)),
    ]


async def _to_page(prefix: str, _: Request) -> Response:
    return RedirectResponse(f"{prefix}/ui/")


async def _document(prefix: str, _: Request) -> Response:
    headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"}
    document = _read("index.html").replace(b'<base href="/ui/"', f'<base href="{escape(prefix)}/ui/"'.encode(), 1)
    return Response(document, media_type="text/html; charset=utf-8", headers=headers)


async def _icon(_: Request) -> Response:
    return Response(_read("icon.svg"), media_type="image/svg+xml", headers={"Cache-Control": "max-age=86400"})


async def _asset(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in _names():
        raise Refusal(404, f"the page has no file {name!r}")
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Response(_read(f"assets/{name}"), media_type=kind, headers={"Cache-Control": _FOR_EVER})


@lru_cache(maxsize=1)
def _names() -> frozenset[str]:
    return frozenset(found.name for found in (_STATIC / "assets").iterdir())


@lru_cache(maxsize=64)
def _read(path: str) -> bytes:
    return (_STATIC / path).read_bytes()
