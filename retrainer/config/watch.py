"""Detect changed files by content: ConfigMaps swap symlinks, so modification times are unreliable."""

from __future__ import annotations

import os
from hashlib import sha256
from typing import TYPE_CHECKING

from retrainer.config.files import LARGEST_FILE, find
from retrainer.util.regular_files import UnreadableFileError, read_settled

if TYPE_CHECKING:
    from collections.abc import Iterable


def fingerprint(paths: Iterable[str]) -> str:
    """Return a hash over the names and contents of all configuration files under the paths (files or folders).

    Missing and unreadable files are part of the hash. Nothing is raised.
    """
    digest = sha256()
    for file in find(paths).files:
        digest.update(os.fsencode(file) + b"\0")
        try:
            digest.update(sha256(read_settled(file, LARGEST_FILE)).digest())
        except UnreadableFileError as error:
            digest.update(str(error).encode())
    return digest.hexdigest()
