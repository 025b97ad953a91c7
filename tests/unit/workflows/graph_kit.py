"""Runs graphs on a local engine whose steps leave a trace: one line for each, with what they were given."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

from tests.unit.workflows.local_kit import ended, engine_at

if TYPE_CHECKING:
    from pathlib import Path

    from retrainer.workflows.base import Observed
    from retrainer.workflows.local.engine import LocalEngine

LEAVES: list[dict[str, Any]] = yaml.safe_load("""
- name: say
  inputs: {parameters: [{name: word, default: said}]}
  script:
    command: [sh]
    source: |
      echo "{{inputs.parameters.word}}" >> trace
      echo "to the log" >&2
      echo "{{inputs.parameters.word}}"
- name: leave
  inputs: {parameters: [{name: word}]}
  script:
    command: [sh]
    source: |
      echo "{{inputs.parameters.word}}" >> trace
      echo "{{inputs.parameters.word}}" > /tmp/left
  outputs: {parameters: [{name: left, valueFrom: {path: /tmp/left}}]}
- name: fail
  inputs: {parameters: [{name: word, default: failed}, {name: code, default: "1"}]}
  script:
    command: [sh]
    source: |
      echo "{{inputs.parameters.word}}" >> trace
      echo broken
      exit {{inputs.parameters.code}}
- name: twice-bad
  retryStrategy: {limit: "3", retryPolicy: Always}
  script:
    command: [sh]
    source: |
      echo "try {{retries}}" >> trace
      test {{retries}} = 2
""")
"""Templates that write their `word` into the trace: `leave` has an output, `fail` fails, `twice-bad` succeeds later."""


def spec(text: str) -> dict[str, Any]:
    """Return a spec whose entry template is the first one. A list is the templates of a spec."""
    read = yaml.safe_load(text)
    whole = read if isinstance(read, dict) else {"templates": read}
    return {"entrypoint": whole["templates"][0]["name"], **whole, "templates": [*whole["templates"], *LEAVES]}


def start(home: Path, text: str, name: str = "w1") -> LocalEngine:
    (home / "templates").mkdir(exist_ok=True)
    engine = engine_at(home)
    engine.create(
        {"metadata": {"name": name, "namespace": "ml", "labels": {"team": "a"}}, "spec": spec(text)}, timeout=5
    )
    return engine


def run(home: Path, text: str) -> Observed:
    return ended(start(home, text))


def trace(home: Path) -> list[str]:
    file = home / "trace"
    return file.read_text().splitlines() if file.exists() else []


def nodes(home: Path, name: str = "w1") -> dict[str, dict[str, Any]]:
    """Return the nodes by their names."""
    found = json.loads((home / f"runs/ml/{name}/nodes.json").read_text())["nodes"]
    return {node["name"]: node for node in found}


def phases(home: Path) -> dict[str, str]:
    return {name: node["phase"] for name, node in nodes(home).items()}


def in_order(lines: list[str], *groups: str) -> bool:
    """Return whether lines are those of the groups, one group after the other, in any order within a group."""
    at = 0
    for group in groups:
        words = sorted(group.split("|"))
        if sorted(lines[at : at + len(words)]) != words:
            return False
        at += len(words)
    return at == len(lines)
