"""The output parameters of a step: small texts in regular files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrainer.util.regular_files import read_regular

if TYPE_CHECKING:
    from pathlib import Path

OUTPUT_LIMIT = 256 * 1024
"""Bytes of an output parameter."""
OUTPUTS_LIMIT = 1024**2
"""Bytes of all output parameters of a step."""


class BadOutputError(Exception):
    """What a step left cannot be an output. The message says why."""


def read_output(path: Path) -> str:
    """Return the text without one trailing line end, as Argo does.

    Raise FileNotFoundError if there is no such file, BadOutputError with what is wrong with it.
    """
    try:
        text = read_regular(path, OUTPUT_LIMIT).decode()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise BadOutputError(_way_out(error.strerror or str(error))) from error
    except UnicodeDecodeError as error:
        raise BadOutputError(f"is not UTF-8 text: byte {error.start} is {error.object[error.start]:#04x}") from error
    if "\0" in text:
        raise BadOutputError(f"is not text: character {text.index(chr(0))} is a NUL")
    return text.removesuffix("\n")


def _way_out(problem: str) -> str:
    if "larger" in problem:
        return f"{problem}: store large results elsewhere, and pass their location"
    return problem
