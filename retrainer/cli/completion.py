"""Completion scripts."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from retrainer.cli.connection import CommandError


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    For bash: eval "$(retrainer completion bash)" in ~/.bashrc.

    Example: retrainer completion bash
    """
    found = get_completion_class(shell)
    if found is None:
        raise CommandError(f"no completion for {shell}")
    root = click.get_current_context().find_root().command
    click.echo(found(root, {}, "retrainer", "_RETRAINER_COMPLETE").source())
