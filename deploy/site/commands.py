"""Generate the command-line reference from the commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from retrainer.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Iterator

_EVERYWHERE = {"--url", "--token", "-o"}
"""Options of every command that calls the daemon, described once at the top of the page."""


def commands_page() -> str:
    """Return a section for each command: purpose, usage and options."""
    return "\n".join(line for path, command in _commands(main, "retrainer") for line in _section(path, command))


def _commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    """All commands in the order of `--help`. The commands of a group follow it."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None:
            yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from _commands(command, f"{path} {name}")


def _section(path: str, command: click.Command) -> Iterator[str]:
    yield from (f"### {path}", _described(command.help or ""), "")
    if isinstance(command, click.Group):
        return
    usage = " ".join(command.collect_usage_pieces(click.Context(command)))
    yield from ("```text", f"{path} {usage}".rstrip(), "```", "")
    rows = [_row(one) for one in command.params if isinstance(one, click.Option) and not _EVERYWHERE & set(one.opts)]
    if rows:
        yield from ("| option | default | meaning |", "| --- | --- | --- |", *rows, "")


def _described(text: str) -> str:
    """The paragraphs, each on one line. Angle brackets are escaped, as they would be parsed as HTML."""
    paragraphs = text.replace("\b", "").strip().split("\n\n")
    return "\n\n".join(" ".join(one.split()) for one in paragraphs).replace("<", "&lt;")


def _row(option: click.Option) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    values = "" if option.is_flag else f" `{_values(option)}`"
    variable = f" Environment: `{option.envvar}`." if isinstance(option.envvar, str) else ""
    return f"| {names}{values} | {_default(option)} | {_cell((option.help or '') + variable)} |"


def _default(option: click.Option) -> str:
    """The default value, in words if it depends on the machine."""
    if option.required or isinstance(option.show_default, str):
        return "**needed**" if option.required else str(option.show_default)
    given = option.default if isinstance(option.default, (str, int)) and not option.is_flag else ""
    return f"`{given}`" if given != "" else ""


def _values(option: click.Option) -> str:
    if isinstance(option.type, click.Choice):
        return _cell("|".join(map(str, option.type.choices)))
    return _cell(option.metavar or option.type.name.upper())


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
