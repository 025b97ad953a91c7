"""The chart, rendered by helm without a cluster. `deploy/helm/check` builds helm and runs these tests."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

CHART = Path(__file__).parents[2] / "deploy" / "helm" / "retrainer"
HELM = Path(os.environ.get("CHART_DIR", Path.home() / ".cache" / "retrainer-chart")) / "bin" / "helm"
Values = dict[str, Any]


class Refused(Exception):
    """helm's message for values that it does not accept."""


def render(values: Values, release: str = "x") -> list[dict[str, Any]]:
    """Return the objects that the chart renders, sorted by helm. Raise Refused with helm's message."""
    command = [str(HELM), "template", release, str(CHART), "--namespace=ml", "--values=-"]
    done = subprocess.run(command, input=json.dumps(values), capture_output=True, text=True, check=False, timeout=60)
    if done.returncode != 0:
        raise Refused(done.stderr)
    return [one for one in yaml.load_all(done.stdout, yaml.CSafeLoader) if one is not None]


def attempt(values: Values) -> tuple[list[dict[str, Any]], str]:
    """Return the objects, or helm's message for values that it does not accept."""
    try:
        return render(values), ""
    except Refused as refused:
        return [], str(refused)


def load(name: str) -> Values:
    """Return a YAML file of the chart."""
    found: Values | None = yaml.load((CHART / name).read_text(), yaml.CSafeLoader)
    return found or {}


def the(kind: str, name: str, objects: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the only object of this kind and name."""
    (found,) = [one for one in objects if one["kind"] == kind and one["metadata"]["name"] == name]
    return found
