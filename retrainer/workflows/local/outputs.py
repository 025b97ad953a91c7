"""The output parameters of a step: small texts in regular files under its own `/tmp`."""

from __future__ import annotations

import os
from pathlib import Path

from retrainer.util.regular_files import read_regular

OUTPUT_LIMIT = 256 * 1024
"""Bytes of an output parameter."""
OUTPUTS_LIMIT = 1024**2
"""Bytes of all output parameters of a step."""


class BadOutputError(Exception):
    """The file exists, but is not a valid text for an output parameter."""


def read_output(path: Path, tmp: Path) -> str:
    """Return the text without one trailing line end, as Argo does. `path` must stay within `tmp`.

    Raise FileNotFoundError if there is no such file, BadOutputError with what is wrong with it.
    """
    real = Path(os.path.realpath(path))  # also handles links that lead to themselves
    if not real.is_relative_to(os.path.realpath(tmp)):
        raise BadOutputError("leads out of the step's /tmp: write the text itself into a file there")
    try:
        text = read_regular(real, OUTPUT_LIMIT).decode()
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
