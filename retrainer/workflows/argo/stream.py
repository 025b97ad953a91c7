"""What a watch of the API server says, line by line."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import orjson
from urllib3.exceptions import HTTPError

from retrainer.workflows.argo.api_server import JSON, unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from urllib3 import BaseHTTPResponse

    from retrainer.workflows.argo.api_server import ApiServer

SILENCE = 5.0
"""Seconds beyond the server's own end of a watch after which the connection is taken for dead."""


class Stream:
    """Reads one watch at a time, which another thread may end."""

    def __init__(self, api: ApiServer) -> None:
        self._api = api
        self._response: BaseHTTPResponse | None = None
        self._closed = False

    def read(
        self, path: str, fields: Mapping[str, str], *, read_timeout: float, accept: str = JSON
    ) -> Iterator[dict[str, Any]]:
        """Yield the events of a watch until the server ends it. Raise as `ApiServer.request` does.

        A last line without its end is dropped: it comes again, since its version was not taken.
        """
        response = self._api.open("GET", path, fields=fields, accept=accept, read_timeout=read_timeout)
        self._response = response
        try:
            if self._closed:  # while it was being opened
                return
            rest = b""
            for chunk in response.stream(65536):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from map(orjson.loads, lines)
        except HTTPError as error:
            raise unreachable(error) from error
        finally:
            self._response = None
            response.close()
            response.release_conn()

    def close(self) -> None:
        """`interrupt` it, or the one that is being opened; there will be no other."""
        self._closed = True
        self.interrupt()

    def interrupt(self) -> None:
        """End the watch that is open now, from another thread."""
        response = self._response
        if response is not None:
            with contextlib.suppress(ValueError, OSError, RuntimeError):  # it ended by itself meanwhile
                response.shutdown()
