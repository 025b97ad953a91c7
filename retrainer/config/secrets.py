"""Secrets are references to the environment or to files; their values never enter the configuration."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from retrainer.config.models import FromEnv, FromFile
from retrainer.util.regular_files import UnreadableFileError, read_settled

if TYPE_CHECKING:
    from collections.abc import Callable

LARGEST = 64 * 1024
"""Bytes."""


_told: list[Callable[[str], None]] = []
"""Who wants to know each secret that was read, to keep it out of what is shown."""


def tell(whom: Callable[[str], None]) -> None:
    _told.append(whom)


class MissingSecretError(ValueError):
    """The environment variable or file of a secret is not there, cannot be read, or is empty."""


def resolve(secret: FromEnv | FromFile) -> str:
    """Return the secret as it is now, as `_read` does, and tell those who keep it from being seen."""
    value = _read(secret)
    for whom in _told:
        whom(value)
    return value


def _read(secret: FromEnv | FromFile) -> str:
    """Return the secret as it is now: a file is read again each time, so that it can be rotated.

    Raise MissingSecretError, which names the reference and never a value.
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
