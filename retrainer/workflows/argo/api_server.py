"""Requests to the Kubernetes API server, as bytes. Only this module imports the kubernetes client.

It uses the client's configuration (kubeconfig, in-cluster identity, proxies, token refresh) and connection pool, but
not its models and generated methods: they cost more than the request itself.
"""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass, field, replace
from functools import cache
from ssl import SSLEOFError, SSLZeroReturnError
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import orjson
from urllib3 import Timeout
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    SSLError,
)

from retrainer.telemetry.secrets import SECRETS
from retrainer.util.light_imports import bare
from retrainer.workflows.argo.errors import BUSY_WAIT, CREDENTIALS_WAIT, classify
from retrainer.workflows.base import Ambiguous, Later, WorkflowError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from urllib3 import BaseHTTPResponse, PoolManager

CONNECT_TIMEOUT = 5.0
JSON = "application/json"


def _load(kubeconfig: str | None) -> Any:
    """Load credentials: from the given kubeconfig, else the pod's service account, else the usual chain."""
    parts = _client()
    configuration = parts.Configuration()
    if kubeconfig is not None:
        parts.load_kube_config(config_file=kubeconfig, client_configuration=configuration)
        return configuration
    try:
        parts.load_incluster_config(client_configuration=configuration)
    except parts.ConfigException:
        parts.load_kube_config(client_configuration=configuration)
    return configuration


@cache
def _client() -> SimpleNamespace:
    """Return the used parts of the client, imported on first use and without its models."""
    with bare("kubernetes", "kubernetes.client"):
        client = sys.modules["kubernetes.client"]
        from kubernetes.client.configuration import Configuration  # noqa: PLC0415
        from kubernetes.client.rest import RESTClientObject  # noqa: PLC0415

        client.Configuration = Configuration  # type: ignore[attr-defined]
        if not hasattr(client, "ApiClient"):
            client.ApiClient = None  # type: ignore[attr-defined] # referenced only by code that is not called here
        from kubernetes import config  # noqa: PLC0415

    return SimpleNamespace(
        Configuration=Configuration,
        RESTClientObject=RESTClientObject,
        ConfigException=config.ConfigException,
        load_kube_config=config.load_kube_config,
        load_incluster_config=config.load_incluster_config,
    )


@dataclass(frozen=True, slots=True)
class ApiRequest:
    """One HTTP request, with JSON as its body."""

    method: str
    path: str
    body: Any = None
    fields: Mapping[str, str] = field(default_factory=dict)
    """The query; values are percent-encoded."""
    accept: str = JSON
    content: str = JSON
    """Media types of the response and of the body."""
    gate: Callable[[], None] | None = None
    """The last byte of the body is sent once this has returned.

    Until then the server has read and checked what precedes the body, and cannot act. If it raises, the connection is
    closed.
    """

    @property
    def target(self) -> str:
        """The path with the query."""
        return f"{self.path}?{'&'.join(map('='.join, self.fields.items()))}" if self.fields else self.path


class ApiServer:
    """One API server and our credentials for it. Thread-safe."""

    def __init__(self, kubeconfig: str | None, *, connections: int, timeout: float) -> None:
        self._kubeconfig = kubeconfig
        self._connections = connections
        self.timeout = timeout
        self._lock = threading.Lock()
        self._connect()

    def _connect(self) -> None:
        self._configuration = _load(self._kubeconfig)
        self._pool: PoolManager = (
            _client().RESTClientObject(self._configuration, maxsize=self._connections).pool_manager
        )
        self.host: str = self._configuration.host

    def send(self, request: ApiRequest, *, timeout: float | None = None) -> Any:
        """Send a request. Return the response's JSON. Raise Refused, Later, Ambiguous or AlreadyExists."""
        response = self.open(request, read_timeout=self.timeout if timeout is None else timeout, preload=True)
        return orjson.loads(response.data)

    def text(self, request: ApiRequest) -> bytes:
        """Send a request. Return the response as it is. Raise as `send` does."""
        return self.open(request, read_timeout=self.timeout, preload=True).data

    def pages(self, request: ApiRequest) -> Iterator[Any]:
        """Send the request of a list for each of its pages. Yield them. Raise as `send` does."""
        while True:
            page = self.send(request)
            yield page
            if not (token := page["metadata"].get("continue")):
                return
            request = replace(request, fields={**request.fields, "continue": quote(token)})

    def open(self, request: ApiRequest, *, read_timeout: float, preload: bool = False) -> BaseHTTPResponse:
        """Send a request. Return the open response. Raise as `send` does."""
        headers = {
            "Accept": request.accept,
            "Content-Type": request.content,
            "User-Agent": "retrainer",
            **self._identity(),
        }
        body: bytes | Iterator[bytes] | None = None
        if request.body is not None:
            body = data = orjson.dumps(request.body)
            if request.gate is not None:
                headers["Content-Length"] = str(len(data))
                body = _withheld(data, request.gate)
        try:
            response = self._pool.urlopen(
                request.method,
                self.host + request.target,
                body=body,
                headers=headers,
                timeout=Timeout(connect=min(CONNECT_TIMEOUT, read_timeout), read=read_timeout),
                retries=False,
                preload_content=preload,
            )
            if not 200 <= response.status <= 299:
                raise self._refusal(response)
        except HTTPError as error:
            raise unreachable(error) from error
        return response

    def _identity(self) -> dict[str, str]:
        with self._lock:  # the client's refresh hook replaces itself while it runs
            token = self._configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        SECRETS.hide_passing((token or "").removeprefix("Bearer "))
        return {"Authorization": token} if token else {}

    def _refusal(self, response: BaseHTTPResponse) -> WorkflowError:
        data = response.data
        response.release_conn()
        if response.status == 401:
            with self._lock:  # the token was rotated before its file was due to be read again
                self._connect()
        return classify(response.status, SECRETS.mask_bytes(data), response.headers)


def _withheld(body: bytes, gate: Callable[[], None]) -> Iterator[bytes]:
    yield body[:-1]
    gate()
    yield body[-1:]


def unreachable(error: HTTPError) -> WorkflowError:
    """Distinguish a request that was never sent (nothing was created) from one with an unknown result.

    A connection lost during the TLS handshake says nothing about certificates, so it is the latter.
    """
    text = f"the API server cannot be reached: {error}"
    if isinstance(error, (NewConnectionError, ConnectTimeoutError)):  # includes name resolution
        return Later(text, code="connect", retry_after=BUSY_WAIT)
    if isinstance(error, SSLError) and not any(
        isinstance(each, (SSLEOFError, SSLZeroReturnError)) for each in error.args
    ):
        return Later(text, code="tls", retry_after=CREDENTIALS_WAIT)
    return Ambiguous(text, code="timeout" if "timed out" in str(error).lower() else "cut")
