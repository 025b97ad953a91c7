"""PURE: the fields of Argo's WorkflowTemplate that the local engine supports."""

from __future__ import annotations

from retrainer.workflows.local import pod_fields
from retrainer.workflows.local.shapes import ANY, FLAG, IGNORED, NAME, NUMBER, TEXT, Each, Fields

_INPUT = Fields(
    {"name": NAME},
    {"value": TEXT, "default": TEXT, "enum": [TEXT], "description": TEXT, "valueFrom": pod_fields.NO_CONFIG_MAP},
)
ARGUMENTS = Fields(optional={"parameters": [_INPUT], "artifacts": [pod_fields.ARTIFACT]})
_PASSED = Fields(optional={"parameters": [Fields({"name": NAME, "value": TEXT})], "artifacts": [pod_fields.ARTIFACT]})
_VALUE_FROM = Fields(optional={"path": TEXT, "parameter": TEXT, "expression": TEXT, "default": TEXT})
_OUTPUT = Fields({"name": NAME, "valueFrom": _VALUE_FROM}, {"description": TEXT, "globalName": NAME})
_OUTPUTS = Fields(optional={"parameters": [_OUTPUT], "artifacts": [pod_fields.OUTPUT_ARTIFACT]})
_BACKOFF = Fields(optional={"duration": TEXT, "factor": TEXT, "cap": TEXT, "maxDuration": TEXT})
_RETRY = Fields(
    optional={
        "limit": TEXT,
        "retryPolicy": TEXT,
        "expression": TEXT,
        "backoff": _BACKOFF,
        "affinity": IGNORED,
    }
)
_POD = {
    "inputs": ARGUMENTS,
    "outputs": _OUTPUTS,
    "container": Fields({"command": [TEXT]}, {**pod_fields.PROCESS, "args": [TEXT]}),
    "script": Fields({"command": [TEXT], "source": TEXT}, pod_fields.PROCESS),
    **pod_fields.POD,
    "retryStrategy": _RETRY,
    "activeDeadlineSeconds": TEXT,
    "timeout": TEXT,
}
_REFERENCE = Fields({"name": TEXT, "template": NAME}, {"clusterScope": FLAG})
_USED = {"template": NAME, "templateRef": _REFERENCE, "arguments": _PASSED}
_STEP = {
    **_USED,
    "inline": Fields(optional=_POD),
    "when": TEXT,
    "withItems": [ANY],
    "withParam": TEXT,
    "withSequence": Fields(optional={"count": TEXT, "start": TEXT, "end": TEXT, "format": TEXT}),
    "continueOn": Fields(optional={"failed": FLAG, "error": FLAG}),
    "onExit": NAME,
    "hooks": Each(Fields(optional={**_USED, "expression": TEXT})),
}
_TASK = Fields({"name": NAME}, {**_STEP, "dependencies": [TEXT], "depends": TEXT})
_GRAPH = {
    "dag": Fields({"tasks": [_TASK]}, {"failFast": FLAG, "target": TEXT}),
    "steps": [[Fields({"name": NAME}, _STEP)]],
    "suspend": Fields(optional={"duration": TEXT}),
    "parallelism": NUMBER,
    "failFast": FLAG,
}
SPEC = Fields(
    {"templates": [Fields({"name": NAME}, {**_POD, **_GRAPH})]},
    {
        "entrypoint": NAME,
        "arguments": ARGUMENTS,
        "activeDeadlineSeconds": NUMBER,
        "templateDefaults": Each(ANY),  # checked in the templates that they are added to
        "parallelism": NUMBER,
        "onExit": NAME,
        "hooks": Each(Fields(optional={**_USED, "expression": TEXT})),
        **pod_fields.RUN,
    },
)
