"""Noticing that files changed, by content: ConfigMaps swap symlinks, and times of modification lie."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from retrainer.config.files import find

if TYPE_CHECKING:
    from collections.abc import Iterable


def fingerprint(paths: Iterable[str]) -> str:
    """Return a hash over the names and contents of all configuration files under the paths (files or folders).

    What is missing or cannot be read is part of it too; nothing is raised.
    """
    digest = sha256()
    for file in find(paths).files:
        digest.update(file.encode() + b"\0")
        try:
            with open(file, "rb") as opened:  # noqa: PTH123 - called every few seconds, for many files
                digest.update(sha256(opened.read()).digest())
        except OSError as error:
            digest.update(type(error).__name__.encode())
    return digest.hexdigest()
