"""The test cluster for benchmarks: a namespace for each measurement, and an independent watch that counts Workflows."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import select
import ssl
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import urlsplit

import orjson
from ruamel.yaml import YAML

if TYPE_CHECKING:
    from collections.abc import Iterator

KUBECONFIG = Path(
    os.environ.get("KUBECONFIG")
    or Path(os.environ.get("CLUSTER_DIR", Path.home() / ".cache" / "retrainer-cluster")) / "run" / "kubeconfig"
)
TEMPLATE = "waits"
PAGE = 500
"""The number of Workflows that are removed in parallel."""
ARGO = "/apis/argoproj.io/v1alpha1/namespaces"


class Cluster:
    """Requests to the API server with a token or a client certificate of the kubeconfig."""

    def __init__(self) -> None:
        config = YAML(typ="safe").load(KUBECONFIG.read_text())
        server, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.host = urlsplit(server["server"]).netloc
        self.tls = ssl.create_default_context(cafile=server["certificate-authority"])
        if "client-certificate" in user:
            self.tls.load_cert_chain(user["client-certificate"], user["client-key"])
        self.headers = {"Content-Type": "application/json"}
        if "token" in user:
            self.headers["Authorization"] = f"Bearer {user['token']}"
        self._local = threading.local()

    def connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(self.host, context=self.tls, timeout=60)

    def request(self, method: str, path: str, body: Any = None, content: str = "application/json") -> Any:
        return orjson.loads(self._send(method, path, body, content))

    def text(self, path: str) -> str:
        """A response that is not JSON, such as the server's metrics."""
        return self._send("GET", path).decode()

    def _send(self, method: str, path: str, body: Any = None, content: str = "application/json") -> bytes:
        conn = self._connection()
        data = None if body is None else orjson.dumps(body)
        try:
            conn.request(method, path, body=data, headers={**self.headers, "Content-Type": content})
            response = conn.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException):
            self._local.conn = None  # a late answer to this request must not be read by the next
            raise
        if response.status >= 400 and response.status != 404:
            raise RuntimeError(f"{method} {path}: {response.status} {text[:300]!r}")
        return text

    def _connection(self) -> http.client.HTTPSConnection:
        """The connection of this thread; a new one if the server has closed it."""
        conn: http.client.HTTPSConnection | None = getattr(self._local, "conn", None)
        if conn is None or _ended(conn):
            conn = self._local.conn = self.connect()
        return conn

    @staticmethod
    def versions() -> dict[str, str]:
        return {"kubernetes": _pinned("K8S"), "argo": _pinned("ARGO")}


def _ended(conn: http.client.HTTPSConnection) -> bool:
    """Whether the other side has closed the connection: without a request, nothing but its end can be readable."""
    return conn.sock is not None and bool(select.select([conn.sock], [], [], 0)[0])


def _pinned(what: str) -> str:
    """The version that cluster.sh builds. A server built from source does not report its version."""
    text = (Path(__file__).parents[1] / "cluster" / "cluster.sh").read_text()
    found = re.search(rf"\b{what}=(v[0-9.]+)", text)
    return found[1] if found else "unknown"


class Namespace:
    """A namespace for one measurement. At the end it is deleted with its contents, finalizers first."""

    def __init__(self, cluster: Cluster, **labels: str) -> None:
        self.cluster, self.labels = cluster, labels
        self.name = f"bench-{uuid.uuid4().hex[:8]}"

    def __enter__(self) -> Self:
        self.cluster.request("POST", "/api/v1/namespaces", {"metadata": {"name": self.name, "labels": self.labels}})
        template = {
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "WorkflowTemplate",
            "metadata": {"name": TEMPLATE},
            "spec": {
                "entrypoint": "wait",
                "arguments": {"parameters": [{"name": "event", "value": ""}]},
                "templates": [{"name": "wait", "suspend": {}}],
            },
        }
        self.cluster.request("POST", f"{ARGO}/{self.name}/workflowtemplates", template)
        return self

    def __exit__(self, *_: object) -> None:
        some = f"{ARGO}/{self.name}/workflows?limit={PAGE}"
        with ThreadPoolExecutor(4) as hands:
            while found := self.cluster.request("GET", some)["items"]:
                list(
                    hands.map(self._release, [w["metadata"]["name"] for w in found if w["metadata"].get("finalizers")])
                )
                self.cluster.request("DELETE", some)
        self.cluster.request("DELETE", f"/api/v1/namespaces/{self.name}")

    def _release(self, workflow: str) -> None:
        path, merge = f"{ARGO}/{self.name}/workflows/{workflow}", "application/merge-patch+json"
        self.cluster.request("PATCH", path, {"metadata": {"finalizers": None}}, merge)


class Added(NamedTuple):
    name: str
    at: float
    """time.monotonic of this process when the line was received."""
    event: str
    """The argument with the name of the event that started it."""


class Watcher:
    """Records each new Workflow of a namespace, over a connection that is independent of the daemon."""

    def __init__(self, namespace: Namespace) -> None:
        self._cluster = namespace.cluster
        self._path = f"{ARGO}/{namespace.name}/workflows"
        self._lock = threading.Condition()
        self._added: list[Added] = []
        version = self._cluster.request("GET", self._path)["metadata"]["resourceVersion"]
        self._thread = threading.Thread(target=self._follow, args=(version,), daemon=True)
        self._thread.start()

    @property
    def added(self) -> list[Added]:
        with self._lock:
            return list(self._added)

    def wait_for(self, count: int, seconds: float) -> bool:
        """Whether ``count`` Workflows have appeared within ``seconds``."""
        with self._lock:
            return self._lock.wait_for(lambda: len(self._added) >= count, seconds)

    def _follow(self, version: str) -> None:
        for at, line in self._lines(version):
            if not line.startswith(b'{"type":"ADDED"'):
                continue  # a later change by the controller
            found = orjson.loads(line)["object"]
            given = {p["name"]: p["value"] for p in found["spec"].get("arguments", {}).get("parameters", ())}
            with self._lock:
                self._added.append(Added(found["metadata"]["name"], at, given.get("event", "")))
                self._lock.notify_all()

    def _lines(self, version: str) -> Iterator[tuple[float, bytes]]:
        conn = http.client.HTTPSConnection(self._cluster.host, context=self._cluster.tls, timeout=600)
        conn.request("GET", f"{self._path}?watch=1&resourceVersion={version}", headers=self._cluster.headers)
        response = conn.getresponse()
        with contextlib.suppress(TimeoutError):  # of a namespace whose measurement is over
            while line := response.readline():
                yield time.monotonic(), line
