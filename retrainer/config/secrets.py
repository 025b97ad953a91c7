"""Secrets are references to the environment or to files; their values are never part of the configuration."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from retrainer.config.models import FromEnv, FromFile
from retrainer.util.regular_files import UnreadableFileError, read_settled

if TYPE_CHECKING:
    from collections.abc import Callable

LARGEST = 64 * 1024
"""Maximum bytes of a secret's file."""


_told: list[Callable[[str], None]] = []
"""Callbacks that receive each secret that was read, to mask it in output."""


def tell(whom: Callable[[str], None]) -> None:
    _told.append(whom)


class MissingSecretError(ValueError):
    """The environment variable or file of a secret does not exist, cannot be read, or is empty."""


def resolve(secret: FromEnv | FromFile) -> str:
    """Return the current value of the secret, and pass it to the callbacks. Raise as `_read` does."""
    value = _read(secret)
    for whom in _told:
        whom(value)
    return value


def _read(secret: FromEnv | FromFile) -> str:
    """Return the current value of the secret. A file is read each time, so that it can be rotated.

    Raise MissingSecretError, which names the reference and never the value.
    """
    if isinstance(secret, FromEnv):
        value = os.environ.get(secret.from_env, "")
        if not value:
            raise MissingSecretError(f"the environment variable {secret.from_env} is not set: set it, or name another")
        return value
    try:
        value = read_settled(secret.from_file, LARGEST).decode().strip()
    except (UnreadableFileError, UnicodeDecodeError) as error:
        what = error if isinstance(error, UnreadableFileError) else "it is not UTF-8"
        raise MissingSecretError(
            f"the secret's file {secret.from_file} cannot be read ({what}): mount it, or name another"
        ) from None
    if not value:
        raise MissingSecretError(f"the secret's file {secret.from_file} is empty: write the secret into it")
    return value
