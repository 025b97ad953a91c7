"""Stops the daemon's own Deployment, before its release is uninstalled."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from urllib.parse import quote

from retrainer.workflows.argo.api_server import ApiRequest
from retrainer.workflows.argo.errors import MISSING
from retrainer.workflows.argo.watch import PARTIAL_LIST
from retrainer.workflows.base import Later

if TYPE_CHECKING:
    from retrainer.workflows.argo.api_server import ApiServer

RUNNING = quote("status.phase!=Succeeded,status.phase!=Failed")
POLLS, PAUSE = 90, 1.0
"""Seconds until the pods must be gone: three times the chart's terminationGracePeriodSeconds."""


def stop(api: ApiServer, namespace: str, name: str, *, pause: float = PAUSE) -> None:
    """Scale a Deployment to zero and return once its pods are gone. A Deployment that does not exist is stopped.

    Raise WorkflowError if the API server refuses, and Later if pods are still there after POLLS times ``pause``.
    """
    path = f"/apis/apps/v1/namespaces/{quote(namespace)}/deployments/{quote(name)}/scale"
    patch = {"spec": {"replicas": 0}}
    try:
        scale = api.send(ApiRequest("PATCH", path, patch, content="application/merge-patch+json"))
    except Later as error:
        if error.code == MISSING:
            return
        raise
    _await_end(api, namespace, scale["status"]["selector"], pause)


def _await_end(api: ApiServer, namespace: str, selector: str, pause: float) -> None:
    path = f"/api/v1/namespaces/{quote(namespace)}/pods"
    fields = {"labelSelector": quote(selector), "fieldSelector": RUNNING, "limit": "1"}
    waiting = threading.Event()
    for _ in range(POLLS):
        if not api.send(ApiRequest("GET", path, fields=fields, accept=PARTIAL_LIST))["items"]:
            return
        waiting.wait(pause)
    raise Later(f"pods of {selector} in {namespace} still run", code="running", retry_after=pause)
