"""Shared by all commands: connection, output format and errors."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import click
import orjson

from retrainer.cli.connection import DEFAULT_URL, DaemonConnection
from retrainer.util.regular_files import UnreadableFileError, read_settled

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from retrainer.cli.client import ApiClient

P = ParamSpec("P")
R = TypeVar("R")


@dataclass
class Session(DaemonConnection):
    """The options that every command has, and the printing of results."""

    @functools.cached_property
    def client(self) -> ApiClient:
        from retrainer.cli.client import COMPLETION_TIMEOUT, TIMEOUT, ApiClient  # noqa: PLC0415 - `--help` needs no HTTP

        if self.token is None and (file := os.environ.get("RETRAINER_TOKEN_FILE")):
            self.token = self._read(file)
        context = click.get_current_context()
        client = ApiClient(self, COMPLETION_TIMEOUT if context.resilient_parsing else TIMEOUT)
        context.call_on_close(client.close)
        return client

    def _read(self, file: str) -> str:
        try:
            return read_settled(file, 64 * 1024).decode().strip()
        except (UnreadableFileError, UnicodeDecodeError) as error:
            why = f"the token file {file} cannot be read ({error}): name another in RETRAINER_TOKEN_FILE"
            raise self.failure(why) from None

    def print(self, value: Any, render: Callable[[Console], None], *, code: int = 0) -> None:
        """Print `value` as JSON, or call `render` to print it as text. End with the exit code if it is not 0."""
        if self.as_json:
            click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2))
        else:
            from retrainer.cli.show import console  # noqa: PLC0415 - JSON needs no tables

            render(console())
        if code:
            raise click.exceptions.Exit(code)


def _keep(ctx: click.Context, option: click.Parameter, value: str | None) -> None:
    if value is not None:
        setattr(ctx.ensure_object(Session), str(option.name), value)


def output_option(command: Callable[P, R]) -> Callable[P, R]:
    """Add `-o text|json`."""
    choice = click.Choice(["text", "json"])
    return click.option(
        "-o", "--output", type=choice, callback=_keep, expose_value=False, show_default="text", help="Output format."
    )(command)


_CONNECTION = (
    ("server-name", "Name in the daemon's certificate, if it is not that of the address."),
    ("ca-file", "Authorities of the daemon's certificate, in PEM. Default: those of the system."),
    ("token", "Token of the API."),
    ("url", "Address of the daemon."),
)


def connection_options(*, env: bool = False) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Add the options of the connection, which may precede or follow the command. `env`: also read the environment."""

    def decorate(command: Callable[P, R]) -> Callable[P, R]:
        for name, words in _CONNECTION:
            command = click.option(
                f"--{name}",
                callback=_keep,
                expose_value=False,
                envvar=f"RETRAINER_{name.upper().replace('-', '_')}" if env else None,
                show_envvar=env,
                show_default=DEFAULT_URL if name == "url" else False,
                help=words,
            )(command)
        return output_option(command)

    return decorate


def remote(command: Callable[Concatenate[Session, P], R]) -> Callable[P, R]:
    """Add the options of a command that calls the daemon, and pass it the session."""
    return connection_options()(with_session(command))


def local(command: Callable[Concatenate[Session, P], R]) -> Callable[P, R]:
    """Add the options of a command that works without the daemon, and pass it the session."""
    return output_option(with_session(command))


def with_session(command: Callable[Concatenate[Session, P], R]) -> Callable[P, R]:
    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        return command(click.get_current_context().ensure_object(Session), *args, **kwargs)

    return run
