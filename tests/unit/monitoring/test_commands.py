"""The commands shown in the operators' pages exist, with their options."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from retrainer.cli.main import main

ROOT = Path(__file__).parents[3]
PAGES = sorted(ROOT.glob("docs/how-to/operations/**/*.md"))
SHOWN = re.compile(r"(?:^|`)(retrainer [a-z][^`\n#|>]*)", re.MULTILINE)


def shown(page: Path) -> list[str]:
    return [found.strip().rstrip("\\") for found in SHOWN.findall(page.read_text())]


@pytest.mark.parametrize("page", [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES])
def test_commands_are_there(page: Path) -> None:
    for line in shown(page):
        missing = unknown(shlex.split(line.replace("[", " ").replace("]", " ").replace("...", ""))[1:])
        assert not missing, f"`{line}`: {missing}"


def unknown(words: list[str]) -> str:
    """The unknown part of a command line; empty if all of it exists."""
    command: click.Command = main
    context = click.Context(command)
    while isinstance(command, click.Group):
        name = words.pop(0) if words else ""
        found = command.get_command(context, name)
        if found is None:
            return f"no command {name!r}"
        command, context = found, click.Context(found, parent=context)
    options = {option for parameter in command.params for option in parameter.opts + parameter.secondary_opts}
    return ", ".join(word for word in words if word.startswith("-") and word not in options)


def test_a_command_that_is_gone_is_noticed() -> None:
    assert unknown(["runs", "list", "--rule", "churn"]) == ""
    assert unknown(["runs", "list", "--ruler", "churn"]) == "--ruler"
    assert unknown(["runs", "lost"]) == "no command 'lost'"
