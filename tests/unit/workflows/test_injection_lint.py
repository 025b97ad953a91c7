"""Warnings about parameters that a template inserts into code."""

from __future__ import annotations

from typing import Any

import pytest

from retrainer.workflows.injection_lint import pasted


@pytest.mark.parametrize(
    ("template", "found"),
    [
        pytest.param(
            {"script": {"source": "echo {{inputs.parameters.day}}"}}, [("day", "train.script.source")], id="a script"
        ),
        pytest.param(
            {"steps": [[{"name": "a", "inline": {"script": {"source": "echo {{inputs.parameters.day}}"}}}]]},
            [("day", "train.a.inline.script.source")],
            id="a script in a step",
        ),
        pytest.param(
            {"dag": {"tasks": [{"name": "a", "inline": {"script": {"source": "echo {{inputs.parameters.day}}"}}}]}},
            [("day", "train.a.inline.script.source")],
            id="a script in a task",
        ),
        pytest.param(
            {"container": {"command": ["sh", "-c"], "args": ["train {{workflow.parameters.day}}"]}},
            [("day", "train.container.args")],
            id="a shell's argument",
        ),
        pytest.param(
            {"container": {"command": ["/bin/bash", "-ec", "train {{=workflow.parameters['day']}}"]}},
            [("day", "train.container.command")],
            id="an expression in a command",
        ),
        pytest.param(
            {"container": {"command": ["python3", "-c"], "args": ["print('{{inputs.parameters.day}}')"]}},
            [("day", "train.container.args")],
            id="code of another language",
        ),
        pytest.param(
            {"container": {"command": ["train"], "args": ["--day={{inputs.parameters.day}}"]}}, [], id="an argument"
        ),
        pytest.param(
            {
                "container": {
                    "command": ["sh", "-c", "train"],
                    "env": [{"name": "D", "value": "{{inputs.parameters.d}}"}],
                }
            },
            [],
            id="the environment",
        ),
        pytest.param(
            {"container": {"command": ["env", "bash", "-euo", "pipefail", "-c", "train {{inputs.parameters.d}}"]}},
            [("d", "train.container.command")],
            id="options before it",
        ),
        pytest.param(
            {"container": {"command": ["sh", "-euc"], "args": ["train {{inputs.parameters.d}}"]}},
            [("d", "train.container.args")],
            id="options in one word",
        ),
        pytest.param(
            {"container": {"command": ["sh", "-c"], "args": ['train "$1"', "sh", "{{inputs.parameters.d}}"]}},
            [],
            id="an argument of a shell's code",
        ),
        pytest.param(
            {"container": {"command": ["sh", "-e", "/run.sh"], "args": ["{{inputs.parameters.d}}"]}},
            [],
            id="an argument of a script's file",
        ),
        pytest.param({"script": {"source": "echo {{workflow.name}}"}}, [], id="no parameter"),
        pytest.param({"suspend": {}}, [], id="no code"),
    ],
)
def test_what_is_pasted_into_code(template: dict[str, Any], found: list[tuple[str, str]]) -> None:
    manifest = {"spec": {"templates": [{"name": "train", **template}]}}
    assert [tuple(one) for one in pasted(manifest)] == found
