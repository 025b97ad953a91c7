"""PURE: the fields of Argo's WorkflowTemplate that the local engine supports."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Problem = tuple[str, str]
MOST = 1000
"""Items of one list (parameters, templates, tasks, ...): references are searched in them."""
LONGEST_NAME = 128


@dataclass(frozen=True, slots=True)
class _Fields:
    """A mapping with exactly these fields."""

    required: Mapping[str, object] = field(default_factory=dict)
    optional: Mapping[str, object] = field(default_factory=dict)


_NAMED = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
_TEXT = "text"
_NAME = "name"  # also the name of a folder
_NUMBER = "number"
_IGNORED = "ignored"  # concerns pods only, and does not affect what a step computes
_INPUT = _Fields({"name": _NAME}, {"value": _TEXT, "default": _TEXT, "enum": [_TEXT], "description": _TEXT})
ARGUMENTS = _Fields(optional={"parameters": [_INPUT]})
_PASSED = _Fields(optional={"parameters": [_Fields({"name": _NAME, "value": _TEXT})]})
_VALUE_FROM = _Fields(optional={"path": _TEXT, "parameter": _TEXT, "default": _TEXT})
_OUTPUT = _Fields({"name": _NAME, "valueFrom": _VALUE_FROM}, {"description": _TEXT})
_OUTPUTS = _Fields(optional={"parameters": [_OUTPUT]})
_PROCESS = {
    "name": _IGNORED,
    "image": _IGNORED,
    "imagePullPolicy": _IGNORED,
    "resources": _IGNORED,
    "env": [_Fields({"name": _TEXT, "value": _TEXT})],
    "workingDir": _TEXT,
}
_TASK = _Fields({"name": _NAME, "template": _NAME}, {"arguments": _PASSED, "dependencies": [_TEXT], "depends": _TEXT})
_TEMPLATE = _Fields(
    {"name": _NAME},
    {
        "inputs": ARGUMENTS,
        "outputs": _OUTPUTS,
        "metadata": _IGNORED,
        "container": _Fields({"command": [_TEXT]}, {**_PROCESS, "args": [_TEXT]}),
        "script": _Fields({"command": [_TEXT], "source": _TEXT}, _PROCESS),
        "dag": _Fields({"tasks": [_TASK]}),
    },
)
SPEC = _Fields(
    {"entrypoint": _NAME, "templates": [_TEMPLATE]},
    {
        "arguments": ARGUMENTS,
        "activeDeadlineSeconds": _NUMBER,
        **dict.fromkeys(
            ("serviceAccountName", "ttlStrategy", "podGC", "podMetadata", "workflowMetadata", "imagePullSecrets"),
            _IGNORED,
        ),
        **dict.fromkeys(("nodeSelector", "tolerations", "affinity", "priority", "archiveLogs"), _IGNORED),
    },
)


def misshapen(value: object, shape: object, path: str) -> Iterator[Problem]:
    if isinstance(shape, _Fields):
        yield from _misfits(value, shape, path)
    elif isinstance(shape, list):
        if not isinstance(value, list):
            yield path, "must be a list"
            return
        if len(value) > MOST:
            yield path, f"has {len(value)} entries; the local engine takes at most {MOST}"
            return
        for index, item in enumerate(value):
            yield from misshapen(item, shape[0], f"{path}[{index}]")
    elif shape == _TEXT and (value is None or isinstance(value, dict | list)):
        yield path, "must be a single value"
    elif shape == _NAME and not _is_name(value):
        yield path, f"must be a name of letters, digits, `-` and `_`, at most {LONGEST_NAME} of them"
    elif shape == _NUMBER and (isinstance(value, bool) or not isinstance(value, int)):
        yield path, "must be a whole number"


def _is_name(value: object) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_NAME and _NAMED.fullmatch(value) is not None


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
