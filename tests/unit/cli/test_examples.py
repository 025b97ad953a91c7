"""Each command shows an example in its `--help`, which can be typed."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click
import pytest

from retrainer.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WIDTH = 78
"""Columns of a line of `--help` with its indentation: a longer example would be wrapped, and could not be copied."""


def _commands(group: click.Group, context: click.Context, *path: str) -> Iterator[tuple[str, click.Command]]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from _commands(command, click.Context(command, parent=context), *path, name)
        else:
            yield " ".join([*path, name]), command


COMMANDS = dict(_commands(main, click.Context(main)))


def parse(words: list[str]) -> tuple[str, click.Command]:
    """Parse a command line without running it. Return the command. Raise ClickException for what it does not take."""
    command: click.Command = main
    path: list[str] = []
    context = click.Context(main, info_name="retrainer")
    while isinstance(command, click.Group):
        _, found, words = command.resolve_command(context, words)
        assert found is not None
        command, context = found, click.Context(found, info_name=found.name, parent=context)
        path.append(found.name or "")
    given, left, _ = command.make_parser(context).parse_args(list(words))
    assert not left
    for parameter in command.params:
        value, _ = parameter.consume_value(context, given)
        if not isinstance(parameter.type, (click.Path, click.File)):
            parameter.process_value(context, value)
        elif parameter.required and parameter.value_is_missing(value):
            raise click.MissingParameter(ctx=context, param=parameter)
    return " ".join(path), command


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_an_example_that_can_be_typed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for file in ("retrainer.yaml", "retrainer.db"):
        (tmp_path / file).touch()
    lines = [line.strip() for line in (COMMANDS[name].help or "").splitlines()]
    examples = [line for line in lines if line.startswith("Example: ")]
    assert len(examples) == 1
    assert len(examples[0]) + 2 <= WIDTH, "it would be wrapped"
    program, *words = shlex.split(examples[0].removeprefix("Example: "))
    assert program == "retrainer"
    assert parse(words)[1] is COMMANDS[name]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("rnus list", "no such command 'rnus'"),
        ("runs list --phsae FAILED", "No such option"),
        ("runs list --phase BROKEN", "is not one of"),
        ("runs show", "Missing"),
        ("sources reset clicks --to latest", "Missing"),
        ("sources reset clicks --partition clicks/3 --to newest", "earliest, latest"),
        ("events show first", "not a valid integer"),
    ],
)
def test_mistakes_in_examples_are_found(words: str, message: str) -> None:
    with pytest.raises(click.ClickException) as caught:
        parse(words.split())
    assert message.lower() in (caught.value.format_message() + type(caught.value).__name__).lower()
