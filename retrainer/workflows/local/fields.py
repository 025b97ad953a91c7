"""PURE: the fields of Argo's WorkflowTemplate that the local engine supports."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Problem = tuple[str, str]
MOST = 1000
"""Items of one list (parameters, templates, tasks, ...): references are searched in them."""
LONGEST_NAME = 128


@dataclass(frozen=True, slots=True)
class _Fields:
    """A mapping with exactly these fields."""

    required: Mapping[str, object] = field(default_factory=dict)
    optional: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Each:
    """A mapping of any names to values of one shape."""

    shape: object


_NAMED = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
_TEXT = "text"
_NAME = "name"  # also the name of a folder
_NUMBER = "number"
_FLAG = "flag"
_ANY = "any"
_IGNORED = "ignored"  # concerns pods only, and does not affect what a step computes
_INPUT = _Fields({"name": _NAME}, {"value": _TEXT, "default": _TEXT, "enum": [_TEXT], "description": _TEXT})
ARGUMENTS = _Fields(optional={"parameters": [_INPUT]})
_PASSED = _Fields(optional={"parameters": [_Fields({"name": _NAME, "value": _TEXT})]})
_VALUE_FROM = _Fields(optional={"path": _TEXT, "parameter": _TEXT, "expression": _TEXT, "default": _TEXT})
_OUTPUT = _Fields({"name": _NAME, "valueFrom": _VALUE_FROM}, {"description": _TEXT, "globalName": _NAME})
_OUTPUTS = _Fields(optional={"parameters": [_OUTPUT]})
_PROCESS = {
    "name": _IGNORED,
    "image": _IGNORED,
    "imagePullPolicy": _IGNORED,
    "resources": _IGNORED,
    "env": [_Fields({"name": _TEXT, "value": _TEXT})],
    "workingDir": _TEXT,
}
_BACKOFF = _Fields(optional={"duration": _TEXT, "factor": _TEXT, "cap": _TEXT, "maxDuration": _TEXT})
_RETRY = _Fields(
    optional={
        "limit": _TEXT,
        "retryPolicy": _TEXT,
        "expression": _TEXT,
        "backoff": _BACKOFF,
        "affinity": _IGNORED,
    }
)
_POD = {
    "inputs": ARGUMENTS,
    "outputs": _OUTPUTS,
    "metadata": _IGNORED,
    "container": _Fields({"command": [_TEXT]}, {**_PROCESS, "args": [_TEXT]}),
    "script": _Fields({"command": [_TEXT], "source": _TEXT}, _PROCESS),
    "retryStrategy": _RETRY,
    "activeDeadlineSeconds": _TEXT,
    "timeout": _TEXT,
}
_REFERENCE = _Fields({"name": _TEXT, "template": _NAME}, {"clusterScope": _FLAG})
_USED = {"template": _NAME, "templateRef": _REFERENCE, "arguments": _PASSED}
_STEP = {
    **_USED,
    "inline": _Fields(optional=_POD),
    "when": _TEXT,
    "withItems": [_ANY],
    "withParam": _TEXT,
    "withSequence": _Fields(optional={"count": _TEXT, "start": _TEXT, "end": _TEXT, "format": _TEXT}),
    "continueOn": _Fields(optional={"failed": _FLAG, "error": _FLAG}),
    "onExit": _NAME,
    "hooks": _Each(_Fields(optional={**_USED, "expression": _TEXT})),
}
_TASK = _Fields({"name": _NAME}, {**_STEP, "dependencies": [_TEXT], "depends": _TEXT})
_GRAPH = {
    "dag": _Fields({"tasks": [_TASK]}, {"failFast": _FLAG, "target": _TEXT}),
    "steps": [[_Fields({"name": _NAME}, _STEP)]],
    "suspend": _Fields(optional={"duration": _TEXT}),
    "parallelism": _NUMBER,
    "failFast": _FLAG,
}
SPEC = _Fields(
    {"templates": [_Fields({"name": _NAME}, {**_POD, **_GRAPH})]},
    {
        "entrypoint": _NAME,
        "arguments": ARGUMENTS,
        "activeDeadlineSeconds": _NUMBER,
        "templateDefaults": _Fields(optional={**_POD, "parallelism": _NUMBER, "failFast": _FLAG}),
        "parallelism": _NUMBER,
        "onExit": _NAME,
        "hooks": _Each(_Fields(optional={**_USED, "expression": _TEXT})),
        **dict.fromkeys(
            ("serviceAccountName", "ttlStrategy", "podGC", "podMetadata", "workflowMetadata", "imagePullSecrets"),
            _IGNORED,
        ),
        **dict.fromkeys(("nodeSelector", "tolerations", "affinity", "priority", "archiveLogs"), _IGNORED),
    },
)


def misshapen(value: object, shape: object, path: str) -> Iterator[Problem]:
    """Yield what does not have the form of a shape, each with its path."""
    if isinstance(shape, _Fields):
        yield from _misfits(value, shape, path)
    elif isinstance(shape, _Each):
        names = dict.fromkeys(value, shape.shape) if isinstance(value, dict) else {}
        yield from _misfits(value, _Fields(optional=names), path)
    elif isinstance(shape, list):
        yield from _bad_items(value, shape[0], path)
    elif (why := _WHYS.get(str(shape))) and not why[0](value):
        yield path, why[1]


def _bad_items(value: object, shape: object, path: str) -> Iterator[Problem]:
    if not isinstance(value, list):
        yield path, "must be a list"
        return
    if len(value) > MOST:
        yield path, f"has {len(value)} entries; the local engine takes at most {MOST}"
        return
    for index, item in enumerate(value):
        yield from misshapen(item, shape, f"{path}[{index}]")


def _is_name(value: object) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_NAME and _NAMED.fullmatch(value) is not None


_WHYS: Mapping[str, tuple[Callable[[object], bool], str]] = {
    _TEXT: (lambda value: value is not None and not isinstance(value, dict | list), "must be a single value"),
    _NAME: (_is_name, f"must be a name of letters, digits, `-` and `_`, at most {LONGEST_NAME} of them"),
    _NUMBER: (lambda value: isinstance(value, int) and not isinstance(value, bool), "must be a whole number"),
    _FLAG: (lambda value: isinstance(value, bool), "must be true or false"),
}


def _misfits(value: object, shape: _Fields, path: str) -> Iterator[Problem]:
    if not isinstance(value, dict):
        yield path, "must be a mapping"
        return
    known = {**shape.required, **shape.optional}
    for name, item in value.items():
        if name in known:
            yield from misshapen(item, known[name], f"{path}.{name}")
        else:
            yield (
                f"{path}.{str(name)[:LONGEST_NAME]}",
                f"the local engine does not support this; it supports {', '.join(sorted(known))}",
            )
    for name in shape.required:
        if name not in value:
            why = "is needed: there is no image whose entrypoint could run" if name == "command" else "is needed"
            yield f"{path}.{name}", why
