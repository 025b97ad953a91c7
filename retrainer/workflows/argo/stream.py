"""Reads a watch of the API server, line by line."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import orjson
from urllib3.exceptions import HTTPError

from retrainer.workflows.argo.api_server import unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from urllib3 import BaseHTTPResponse

    from retrainer.workflows.argo.api_server import ApiRequest, ApiServer

SILENCE = 5.0
"""Seconds after the server should have ended a watch until the connection counts as dead."""


class Stream:
    """Reads one watch at a time. Another thread may end it."""

    def __init__(self, api: ApiServer) -> None:
        self._api = api
        self._response: BaseHTTPResponse | None = None
        self._closed = False

    def read(self, request: ApiRequest, *, read_timeout: float) -> Iterator[dict[str, Any]]:
        """Yield the events of a watch until the server ends it. Raise as `ApiServer.send` does.

        An incomplete last line is dropped: its event is sent again, because its version was not processed.
        """
        response = self._api.open(request, read_timeout=read_timeout)
        self._response = response
        try:
            if self._closed:  # closed while it was being opened
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
        """`interrupt` the current watch, or the one being opened, and start no other."""
        self._closed = True
        self.interrupt()

    def interrupt(self) -> None:
        """End the current watch, from another thread."""
        response = self._response
        if response is not None:
            with contextlib.suppress(ValueError, OSError, RuntimeError):  # it ended by itself meanwhile
                response.shutdown()
