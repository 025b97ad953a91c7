"""A local engine in a folder, and helpers for its tests."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrainer.config.settings import LocalEngine as Settings
from retrainer.workflows.local.engine import LocalEngine
from tests.waiting import until

if TYPE_CHECKING:
    from retrainer.workflows.base import Observed

ENDED = ("Succeeded", "Failed", "Error")

SHELL = """
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: shell}
spec:
  entrypoint: main
  arguments: {parameters: [{name: code}, {name: color, value: red, enum: [red, blue]}]}
  templates:
    - name: main
      inputs: {parameters: [{name: code}]}
      container: {image: alpine, command: [sh, -c], args: ["{{inputs.parameters.code}}"]}
      outputs: {parameters: [{name: said, valueFrom: {path: /tmp/out/said, default: nothing}}]}
"""


def engine_at(home: Path, instance: str = "here") -> LocalEngine:
    return LocalEngine(
        Settings(type="local", templates=str(home / "templates"), runs=str(home / "runs")), instance=instance
    )


def workflow(code: str = "true", name: str = "w1", **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "ml", "annotations": {"retrainer.dev/run": f"run-{name}"}},
        "spec": {
            "workflowTemplateRef": {"name": "shell"},
            "arguments": {"parameters": [{"name": "code", "value": code}]},
            **spec,
        },
    }


def ended(engine: LocalEngine, name: str = "w1") -> Observed:
    def look() -> Observed | None:
        seen = engine.get("ml", name)
        return seen if seen and seen.phase in ENDED else None

    return until(look, f"{name} ends")


def running(engine: LocalEngine, name: str = "w1") -> Observed:
    def look() -> Observed | None:
        seen = engine.get("ml", name)
        return seen if seen and seen.phase == "Running" else None

    return until(look, f"{name} runs")


def pid_in(path: Path) -> int:
    return int(until(lambda: path.exists() and path.read_text().strip(), f"{path} is written"))


def is_alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
