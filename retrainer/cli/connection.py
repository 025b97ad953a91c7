"""The connection of commands to the daemon, and their errors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import click
import orjson

DEFAULT_URL = "http://127.0.0.1:8080"


class CommandError(click.ClickException):
    """The request was refused, not found or invalid: exit code 1. With `-o json`, ``problem`` is printed instead."""

    def __init__(self, message: str, problem: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.problem = problem

    def show(self, file: Any = None) -> None:
        if self.problem is None:
            super().show(file)
        else:
            click.echo(orjson.dumps(self.problem, option=orjson.OPT_INDENT_2), err=True)


class DaemonUnreachable(CommandError):
    """The daemon does not answer: exit code 2."""

    exit_code = 2


@dataclass
class DaemonConnection:
    """Address and token of the daemon, how it is verified, and the format in which results and errors are printed."""

    url: str = DEFAULT_URL
    token: str | None = None
    ca_file: str | None = None
    """PEM file of the authorities that are trusted instead of those of the system."""
    server_name: str | None = None
    """Name that the daemon's certificate must have; None means that of the address."""
    output: str = "text"

    @property
    def as_json(self) -> bool:
        return self.output == "json"

    def failure(self, message: str, kind: type[CommandError] = CommandError, **problem: Any) -> CommandError:
        return kind(message, {"detail": message, **problem} if self.as_json else None)
