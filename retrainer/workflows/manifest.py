"""PURE: builds the Workflow of a run, minimal enough for Argo's Strict and Secure template restrictions."""

from __future__ import annotations

import difflib
import math
from typing import TYPE_CHECKING, Any

from retrainer.config.reserved import reserved
from retrainer.util.timefmt import moment
from retrainer.workflows.cause import cause, harmless
from retrainer.workflows.labels import safe_labels

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from retrainer.runs.run import Run
    from retrainer.workflows.base import Template

FINALIZER = "retrainer.dev/outcome"
"""Keeps the Workflow until its outcome is stored, even if its TTL ends or it is deleted."""
MANAGED_BY = {"app.kubernetes.io/managed-by": "retrainer"}
INSTANCE_LABEL = "retrainer.dev/instance"
RULE_LABEL = "retrainer.dev/rule"
RUN_ANNOTATION = "retrainer.dev/run"
KEY_ANNOTATION = "retrainer.dev/key"
REASON_ANNOTATION = "retrainer.dev/reason"
CAUSE_ANNOTATION = "retrainer.dev/cause"
TRACE_ANNOTATION = "retrainer.dev/traceparent"
CONTROLLER_LABEL = "workflows.argoproj.io/controller-instanceid"
TEMPLATE_LABEL = "workflows.argoproj.io/workflow-template"
CLUSTER_TEMPLATE_LABEL = "workflows.argoproj.io/cluster-workflow-template"
SCHEDULED_ANNOTATION = "workflows.argoproj.io/scheduled-time"

MAX_PARAMETERS = 128 * 1024
"""Bytes of all values together. etcd takes 1.5 MiB per object, Argo copies arguments into every node, and Linux passes
no longer text to a program (MAX_ARG_STRLEN)."""
MAX_ANNOTATION = 1024


def manifest(
    run: Run,
    *,
    instance: str,
    instance_id: str | None,
    mask: Callable[[str], str] = str,
    traceparent: str | None = None,
) -> dict[str, Any]:
    """Return the Workflow of `run`. Raise ValueError with the remedy if its parameters or labels cannot be sent.

    ``mask`` removes secrets from the cause. ``traceparent``: what its steps may continue, if there is a trace.
    """
    refuse_unsafe(run.parameters)
    annotations = _annotations(run, mask) | ({TRACE_ANNOTATION: traceparent} if traceparent else {})
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {
            "name": run.workflow,
            "namespace": run.namespace,
            "finalizers": [FINALIZER],
            "labels": _labels(run, instance, instance_id),
            "annotations": annotations,
        },
        "spec": _spec(run),
    }


def refuse_unsafe(parameters: Mapping[str, str]) -> None:
    """Raise ValueError if Argo would expand a value again, or if all values together are too large."""
    for name, value in parameters.items():
        if "{{" in value:
            raise ValueError(
                f"parameter {name} contains '{{{{', which Argo would expand: remove it from the value, "
                "or from the event it comes from"
            )
    size = sum(len(value.encode()) for value in parameters.values())
    if size > MAX_PARAMETERS:
        raise ValueError(
            f"the parameters are {size} bytes together, {MAX_PARAMETERS} are allowed: "
            "pass ${run.manifest_uri} and read the inputs from there"
        )


def check_parameters(template: Template, parameters: Mapping[str, str]) -> list[str]:
    """Return what is wrong with `parameters` for this template, as text; empty if nothing is."""
    known = template.parameters
    unknown = [_unknown(template, name) for name in parameters if name not in known]
    missing = [
        f"template {template.name} needs parameter {name}: give it under submit.parameters"
        for name, default in known.items()
        if default is None and name not in parameters
    ]
    wrong = [
        f"parameter {name} of template {template.name} is one of {', '.join(options)}, not {parameters[name]!r}"
        for name, options in template.options.items()
        if name in parameters and parameters[name] not in options
    ]
    return unknown + missing + wrong


def _unknown(template: Template, name: str) -> str:
    close = difflib.get_close_matches(name, template.parameters, n=1)
    if close:
        return f"template {template.name} has no parameter {name}: did you mean {close[0]}?"
    has = ", ".join(template.parameters) or "none"
    return f"template {template.name} has no parameter {name}: it has {has}"


def _metadata(run: Run, field: str) -> dict[str, str]:
    """Return user metadata: that of an inline manifest, overridden by `submit.metadata`."""
    inline = (run.submit.get("workflow") or {}).get("metadata") or {}
    return {**(inline.get(field) or {}), **(run.submit.get("metadata", {}).get(field) or {})}


def _labels(run: Run, instance: str, instance_id: str | None) -> dict[str, str]:
    of_rule = _metadata(run, "labels")
    for name in of_rule:
        if reserved(name):
            raise ValueError(f"label {name} belongs to Argo or retrainer: remove it from submit.metadata.labels")
    labels = safe_labels({key: value for key, value in run.labels.items() if not reserved(key)}) | safe_labels(of_rule)
    labels |= MANAGED_BY | {INSTANCE_LABEL: instance, RULE_LABEL: run.rule}
    templates = {TEMPLATE_LABEL: "workflow_template", CLUSTER_TEMPLATE_LABEL: "cluster_workflow_template"}
    labels |= safe_labels({label: run.submit[kind] for label, kind in templates.items() if run.submit.get(kind)})
    if instance_id is not None:
        labels[CONTROLLER_LABEL] = instance_id
    return labels


def _annotations(run: Run, mask: Callable[[str], str]) -> dict[str, str]:
    annotations = _metadata(run, "annotations")
    annotations |= {
        RUN_ANNOTATION: run.id,
        KEY_ANNOTATION: harmless(run.key)[:MAX_ANNOTATION],
        REASON_ANNOTATION: harmless(run.reason)[:MAX_ANNOTATION],
        CAUSE_ANNOTATION: cause(run, mask),
    }
    if run.scheduled_at is not None:
        annotations[SCHEDULED_ANNOTATION] = moment(run.scheduled_at)
    return annotations


def _spec(run: Run) -> dict[str, Any]:
    spec = _body(run)
    arguments = dict(spec.get("arguments") or {})
    given = {each["name"]: each for each in arguments.get("parameters") or []}
    given |= {name: {"name": name, "value": value} for name, value in run.parameters.items()}
    if given:
        arguments["parameters"] = list(given.values())
    if arguments:
        spec["arguments"] = arguments
    if (timeout := run.submit.get("timeout")) is not None:
        spec["activeDeadlineSeconds"] = math.ceil(timeout)
    return spec


def _body(run: Run) -> dict[str, Any]:
    if (inline := run.submit.get("workflow")) is not None:
        return dict(inline.get("spec", inline))
    if name := run.submit.get("workflow_template"):
        return {"workflowTemplateRef": {"name": name}}
    return {"workflowTemplateRef": {"name": run.submit["cluster_workflow_template"], "clusterScope": True}}
