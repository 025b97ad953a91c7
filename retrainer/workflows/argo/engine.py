"""The workflow engine for Argo Workflows."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from retrainer.util.supervision import Worker, join_all, rest
from retrainer.workflows.argo import pod_logs
from retrainer.workflows.argo.access import missing_access
from retrainer.workflows.argo.api_server import JSON, ApiRequest, ApiServer
from retrainer.workflows.argo.errors import MISSING
from retrainer.workflows.argo.nodes import nodes_of
from retrainer.workflows.argo.objects import ENDED, from_metadata, from_template, from_workflow, held
from retrainer.workflows.argo.watch import PAGE, PARTIAL, PARTIAL_LIST, NamespaceWatch
from retrainer.workflows.base import Later, Refused
from retrainer.workflows.manifest import FINALIZER, INSTANCE_LABEL

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator, Mapping

    from retrainer.config.settings import ArgoEngine as Settings
    from retrainer.workflows.base import Observed, OutputQuery, StepOutput, Strategy, Template, WorkflowNodes

API = "/apis/argoproj.io/v1alpha1"
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
GRACE = 3.0
"""Seconds that watches may take to end after they are closed."""
SPARE_CONNECTIONS = 8
"""Connections beside the submitter's: for the web page, the reconciler and the fetchers of outcomes."""


class ArgoEngine:
    """See `base.WorkflowEngine`. Raises kubernetes' ConfigException if no credentials are found."""

    def __init__(self, settings: Settings, instance: str) -> None:
        connections = settings.connections + SPARE_CONNECTIONS + len(settings.namespaces)
        self._api = ApiServer(settings.kubeconfig, connections=connections, timeout=settings.request_timeout)
        self._namespaces = settings.namespaces
        self._instance = instance
        self._watches = [NamespaceWatch(self._api, namespace, instance) for namespace in settings.namespaces]

    @property
    def watch_restarts(self) -> int:
        """Number of times a watch had to restart because of an error."""
        return sum(watch.restarts for watch in self._watches)

    def create(
        self, manifest: Mapping[str, Any], *, timeout: float, gate: Callable[[], None] | None = None
    ) -> Observed:
        fields = {"fieldValidation": "Strict", "timeout": f"{max(1, int(timeout))}s"}
        path = f"{API}/namespaces/{quote(manifest['metadata']['namespace'])}/workflows"
        return from_metadata(
            self._api.send(ApiRequest("POST", path, manifest, fields, accept=PARTIAL, gate=gate), timeout=timeout)
        )

    def get(self, namespace: str, name: str) -> Observed | None:
        item = self._find(_workflow(namespace, name))
        return None if item is None else from_workflow(item)

    def nodes(self, namespace: str, name: str) -> WorkflowNodes | None:
        item = self._find(_workflow(namespace, name))
        return None if item is None else nodes_of(item)

    def stop(self, namespace: str, name: str, strategy: Strategy) -> None:
        path = _workflow(namespace, name)
        item = self._find(path, accept=PARTIAL)
        if item is None or from_metadata(item).phase in ENDED:
            return
        patch = {"metadata": {"uid": item["metadata"]["uid"]}, "spec": {"shutdown": strategy}}
        self._patch(path, patch, MERGE_PATCH)

    def release(self, namespace: str, name: str, uid: str) -> None:
        """Try to remove our finalizer from its usual position first, and read the Workflow only if it is not there."""
        path = _workflow(namespace, name)
        if self._remove(path, uid, place=0):
            return
        item = self._find(path, accept=PARTIAL)
        if item is None or item["metadata"]["uid"] != uid:
            return
        finalizers = item["metadata"].get("finalizers") or []
        if FINALIZER in finalizers and not self._remove(path, uid, place=finalizers.index(FINALIZER)):
            raise Later(
                f"the finalizers of {namespace}/{name} changed while retrainer removed its own",
                code="conflict",
                retry_after=1,
            )

    def held(self, namespace: str) -> Iterator[Observed]:
        """Yield the Workflows of this instance that still have our finalizer."""
        fields = {"labelSelector": quote(f"{INSTANCE_LABEL}={self._instance}"), "limit": str(PAGE)}
        path = f"{API}/namespaces/{quote(namespace)}/workflows"
        for page in self._api.pages(ApiRequest("GET", path, fields=fields, accept=PARTIAL_LIST)):
            yield from (from_metadata(item) for item in page["items"] or () if held(item))

    def _remove(self, path: str, uid: str, *, place: int) -> bool:
        """Remove the finalizer at this position; False if it is not there. The tests protect other finalizers."""
        where = f"/metadata/finalizers/{place}"
        patch = [
            {"op": "test", "path": "/metadata/uid", "value": uid},
            {"op": "test", "path": where, "value": FINALIZER},
            {"op": "remove", "path": where},
        ]
        try:
            self._patch(path, patch, JSON_PATCH)
        except Refused:
            return False
        return True

    def template(self, namespace: str, name: str, *, cluster: bool) -> Template | None:
        scope = "clusterworkflowtemplates" if cluster else f"namespaces/{quote(namespace)}/workflowtemplates"
        item = self._find(f"{API}/{scope}/{quote(name)}")
        return None if item is None else from_template(item)

    def outputs(self, namespace: str, name: str, query: OutputQuery) -> Iterator[StepOutput]:
        return pod_logs.read(self._api, namespace, name, query)

    @property
    def trouble(self) -> str:
        return next((f"namespace {watch.namespace}: {watch.trouble}" for watch in self._watches if watch.trouble), "")

    def watch(self, report: Callable[[Observed], None], stop: threading.Event) -> None:
        threads = [
            Worker("watch", partial(watch.run, self.get, report, stop), stop.is_set, name=f"watch-{watch.namespace}")
            for watch in self._watches
        ]
        for thread in threads:
            thread.start()
        rest(stop, math.inf)
        for watch in self._watches:
            watch.close()
        join_all(threads, GRACE)

    def check(self) -> list[str]:
        return missing_access(self._api, self._namespaces)

    def _find(self, path: str, accept: str = JSON) -> Any:
        try:
            return self._api.send(ApiRequest("GET", path, accept=accept))
        except Later as error:
            if error.code == MISSING:
                return None
            raise

    def _patch(self, path: str, patch: Any, content: str) -> None:
        try:
            self._api.send(ApiRequest("PATCH", path, patch, content=content, accept=PARTIAL))
        except Later as error:
            if error.code != MISSING:
                raise


def _workflow(namespace: str, name: str) -> str:
    return f"{API}/namespaces/{quote(namespace)}/workflows/{quote(name)}"
