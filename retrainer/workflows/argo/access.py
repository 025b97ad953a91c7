"""Checks our permissions at the API server before any work starts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrainer.workflows.argo.api_server import ApiRequest
from retrainer.workflows.argo.errors import MISSING
from retrainer.workflows.base import Later, WorkflowError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from retrainer.workflows.argo.api_server import ApiServer

NEEDED = {"workflows": ("create", "get", "list", "watch", "patch"), "workflowtemplates": ("get",)}
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
GROUP = "/apis/argoproj.io/v1alpha1"
HINT = "grant it to the service account with a Role (verbs and resources as named here)"


def missing_access(api: ApiServer, namespaces: Sequence[str]) -> list[str]:
    """Return what prevents us from working in these namespaces, as text; empty if nothing does."""
    try:
        return list(_missing(api, namespaces))
    except WorkflowError as error:
        return [f"{api.host}: {error}"]


def _missing(api: ApiServer, namespaces: Sequence[str]) -> Iterator[str]:
    try:
        api.send(ApiRequest("GET", GROUP))
    except Later as error:
        if error.code not in (MISSING, "no-such-api"):
            raise
        yield f"{api.host} serves no argoproj.io/v1alpha1: install Argo Workflows there, with its CRDs"
        return
    for namespace in namespaces:
        for resource, verbs in NEEDED.items():
            denied = [verb for verb in verbs if not _allowed(api, namespace, resource, verb)]
            if denied:
                yield f"namespace {namespace}: may not {', '.join(denied)} {resource}.argoproj.io: {HINT}"
            elif resource == "workflows":
                yield from _rehearsal(api, namespace)


def _allowed(api: ApiServer, namespace: str, resource: str, verb: str) -> bool:
    attributes = {"namespace": namespace, "group": "argoproj.io", "resource": resource, "verb": verb}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    return bool(api.send(ApiRequest("POST", REVIEWS, review))["status"]["allowed"])


def _rehearsal(api: ApiServer, namespace: str) -> Iterator[str]:
    """Create a Workflow as a dry run: only this shows that a namespace is missing or terminating."""
    workflow = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": "retrainer-check-"},
        "spec": {"workflowTemplateRef": {"name": "retrainer-check"}},
    }
    try:
        api.send(ApiRequest("POST", f"{GROUP}/namespaces/{namespace}/workflows", workflow, {"dryRun": "All"}))
    except Later as error:
        if error.code in (MISSING, "403"):
            yield f"namespace {namespace}: {error}"
    except WorkflowError:
        return  # an admission policy may reject this Workflow and accept real ones
