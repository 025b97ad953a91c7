"""HTTP client for the daemon's API."""

from __future__ import annotations

import getpass
import os
import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import httpx

from retrainer.cli.connection import DEFAULT_URL, CommandError, DaemonConnection, DaemonUnreachable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TIMEOUT = 30.0
"""Seconds; the daemon waits up to 20 for its engine."""
COMPLETION_TIMEOUT = 2.0
"""Seconds; a shell waits for the completion of a name."""
PAGE = 200
USER = "Retrainer-User"
"""Header with the name of the user, for the list of activity and the cause of runs."""
_HERE = ("localhost", "127.0.0.1", "::1")


class ApiClient:
    """Raises Unreachable or Failure with a message for the user."""

    def __init__(self, connection: DaemonConnection, timeout: float = TIMEOUT) -> None:
        self._connection = connection
        try:
            url = httpx.URL(connection.url)
        except httpx.InvalidURL as error:
            raise connection.failure(f"--url {connection.url}: {error}", DaemonUnreachable) from None
        if url.scheme not in ("http", "https") or not url.host:
            raise connection.failure(f"--url {connection.url}: write it as {DEFAULT_URL}", DaemonUnreachable)
        if url.scheme == "http" and (connection.ca_file or connection.server_name):
            why = f"--url {connection.url} is not encrypted, so --ca-file and --server-name do nothing: write https://"
            raise connection.failure(why, DaemonUnreachable)
        headers = {USER: who_asks()}
        if connection.token:
            headers["Authorization"] = f"Bearer {connection.token}"
        # Proxies in the environment are not used for this machine.
        self._http = httpx.Client(
            base_url=url,
            headers=headers,
            timeout=timeout,
            trust_env=url.host not in _HERE,
            verify=verification(connection) if url.scheme == "https" else False,
            event_hooks={"request": [self._name_server]},
        )

    def _name_server(self, request: httpx.Request) -> None:
        if self._connection.server_name is not None:
            request.extensions["sni_hostname"] = self._connection.server_name

    def limit(self, seconds: float) -> None:
        """Set the timeout of the next requests."""
        self._http.timeout = httpx.Timeout(seconds)

    def close(self) -> None:
        self._http.close()

    def get(self, *path: str, **query: Any) -> Any:
        """GET /api/v1/<path>; parameters that are None are left out."""
        return self._ask("GET", path, params={name: value for name, value in query.items() if value is not None})

    def text(self, *path: str, **query: Any) -> Iterator[str]:
        """GET /api/v1/<path> as text, in parts as they arrive. Nothing is requested before the first is taken."""
        params = {name: value for name, value in query.items() if value is not None}
        with self._answers(), self._http.stream("GET", _address(path), params=params) as response:
            if response.is_success:
                yield from response.iter_text()
                return
            response.read()
        self._read(response)

    def fetch(self, where: str) -> httpx.Response:
        """GET a path, also outside of the API, and return the answer whatever its status."""
        with self._answers():
            return self._http.get(where)

    def outside(self, where: str) -> Any:
        """GET outside of the API: it concerns the replica that answers."""
        return self._read(self.fetch(where))

    def change(self, where: str, body: Mapping[str, Any]) -> Any:
        """PUT outside of the API, like `outside`."""
        with self._answers():
            response = self._http.put(where, json=body)
        return self._read(response)

    def post(self, *path: str, body: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None) -> Any:
        return self._ask("POST", path, json=body or {}, headers=headers)

    def put(self, *path: str, body: Mapping[str, Any]) -> Any:
        return self._ask("PUT", path, json=body)

    @contextmanager
    def download(self, *path: str, patience: float) -> Iterator[httpx.Response]:
        """POST /api/v1/<path>, and yield the answer to be read in parts. It may begin after ``patience`` seconds."""
        timeout = httpx.Timeout(TIMEOUT, read=patience)
        headers = {"Accept-Encoding": "identity"}  # compressing it costs more than it saves
        with (
            self._answers(),
            self._http.stream("POST", _address(path), json={}, headers=headers, timeout=timeout) as response,
        ):
            if response.is_success:
                yield response
                return
            response.read()
        self._read(response)

    def delete(self, *path: str, **query: str) -> Any:
        return self._ask("DELETE", path, params=query)

    def list(self, *path: str, limit: int, **query: Any) -> dict[str, Any]:
        """Return up to `limit` items, over as many pages as needed."""
        items: list[Any] = []
        cursor = query.pop("cursor", None)
        while True:
            page = self.get(*path, **query, cursor=cursor, limit=min(limit - len(items), PAGE))
            items += page["items"]
            cursor = page["next"]
            if cursor is None or len(items) >= limit:
                return {"items": items, "next": cursor}

    def _ask(self, method: str, path: tuple[str, ...], **request: Any) -> Any:
        with self._answers():
            response = self._http.request(method, _address(path), **request)
        return self._with_page(self._read(response))

    def _with_page(self, answer: Any) -> Any:
        """Return an answer with the full address of its page: without `http.external_url` it has only a path."""
        page = answer.get("page") if isinstance(answer, dict) else None
        if isinstance(page, str) and page.startswith("/"):
            return {**answer, "page": f"{self._http.base_url}".rstrip("/") + page}
        return answer

    @contextmanager
    def _answers(self) -> Iterator[None]:
        """Turn errors of the connection into messages for the user."""
        try:
            yield
        except httpx.TransportError as error:
            raise self._unreachable(error) from None
        except UnicodeEncodeError:
            raise self._connection.failure("--token: only ASCII characters can be sent") from None

    def _read(self, response: httpx.Response) -> Any:
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if response.is_success and answer is not None:
            return answer
        if not isinstance(answer, dict) or "detail" not in answer:
            raise self._connection.failure(
                f"{self._connection.url} answers {response.status_code}, and is not a retrainer API", DaemonUnreachable
            )
        raise self._refused(answer)

    def _refused(self, problem: dict[str, Any]) -> CommandError:
        hint = "; set RETRAINER_TOKEN, or give --token" if problem.get("status") == 401 else ""
        return self._connection.failure(
            f"{problem['detail']}{hint}", **{"status": None, **problem, "detail": problem["detail"]}
        )

    def _unreachable(self, error: Exception) -> CommandError:
        why = str(error) or type(error).__name__
        if "CERTIFICATE_VERIFY_FAILED" in why:
            return self._connection.failure(
                f"the certificate of {self._connection.url} is not accepted ({why}). Name its authority with --ca-file "
                "or RETRAINER_CA_FILE; if it is valid for another name than the address, give --server-name or set "
                "RETRAINER_SERVER_NAME.",
                DaemonUnreachable,
            )
        tls = "serves TLS, write https://; if it " if self._connection.url.startswith("http:") else ""
        return self._connection.failure(
            f"no answer from {self._connection.url} ({why}). Is the daemon running (`retrainer run`)? If it "
            f"{tls}runs "
            "elsewhere, set RETRAINER_URL or give --url; its token comes from RETRAINER_TOKEN or --token.",
            DaemonUnreachable,
        )


def verification(connection: DaemonConnection) -> ssl.SSLContext:
    """Return the context for the daemon. `--ca-file` may also hold the daemon's own certificate.

    The certificate of the client comes from RETRAINER_CERT_FILE and RETRAINER_KEY_FILE.
    """
    try:
        context = ssl.create_default_context(cafile=connection.ca_file)
    except OSError as error:  # also SSLError
        why = f"--ca-file {connection.ca_file}: it cannot be read as certificates in PEM ({error})"
        raise connection.failure(why, DaemonUnreachable) from None
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    certificate, key = (os.environ.get(name) or None for name in ("RETRAINER_CERT_FILE", "RETRAINER_KEY_FILE"))
    try:
        if certificate is not None:
            context.load_cert_chain(certificate, key, "")
    except OSError as error:
        why = f"RETRAINER_CERT_FILE {certificate} with RETRAINER_KEY_FILE {key} cannot be used ({error})"
        raise connection.failure(why, DaemonUnreachable) from None
    return context


def who_asks() -> str:
    """Return the name of the user; empty for a user without a name, or with one that no header can have."""
    try:
        name = getpass.getuser()[:100]
    except (KeyError, OSError):
        return ""
    return name if name.isascii() and name.isprintable() else ""


def _address(path: tuple[str, ...]) -> str:
    return "/api/v1/" + "/".join(quote(part, safe="") for part in path)
