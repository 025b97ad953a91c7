"""What a step finds on disk when it starts, and what is read there when it has ended."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrainer.workflows.local.node import Outputs
from retrainer.workflows.local.outputs import OUTPUTS_LIMIT, BadOutputError, read_output
from retrainer.workflows.local.tags import scalar, substitute
from retrainer.workflows.local.template import parameters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrainer.workflows.local.pod import Pod


def prepare(pod: Pod) -> None:
    """Create the folders of a step before it starts. Raise OSError or ValueError."""
    pod.tmp.mkdir(parents=True)


def collect(pod: Pod) -> Outputs:
    """Return what a step left when it succeeded. Raise BadOutputError that names the invalid part."""
    found = {
        item["name"]: _output(pod, item["name"], item["valueFrom"]) for item in parameters(pod.template, "outputs")
    }
    size = sum(len(text.encode()) for text in found.values())
    if size > OUTPUTS_LIMIT:
        raise BadOutputError(f"they have {size:,} bytes together, of {OUTPUTS_LIMIT:,}: store large results elsewhere")
    return Outputs(found)


def _output(pod: Pod, name: str, value_from: Mapping[str, Any]) -> str:
    path = substitute(scalar(value_from["path"]), pod.values)
    try:
        return read_output(Path(pod.text(value_from["path"])), pod.tmp)
    except FileNotFoundError:
        if "default" not in value_from:
            raise BadOutputError(f"{name}: there is no file {path}") from None
        return substitute(scalar(value_from["default"]), pod.values)
    except (BadOutputError, ValueError) as error:  # ValueError: a path that contains a NUL
        raise BadOutputError(f"{name}: {path} {error}") from error
