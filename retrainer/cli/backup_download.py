"""A backup that the daemon makes of its store, as it arrives."""

from __future__ import annotations

import hashlib
import io
from contextlib import contextmanager
from typing import TYPE_CHECKING

from retrainer.cli.backup_places import PART
from retrainer.store.backup import BackupContent
from retrainer.store.base import StoreError
from retrainer.util.piece_reader import PieceReader
from retrainer.util.timefmt import epoch

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from retrainer.cli.client import ApiClient

PATIENCE = 3600.0
"""Seconds that the daemon may take for its copy before it answers."""


@contextmanager
def download(client: ApiClient) -> Iterator[tuple[str, BackupContent]]:
    """Yield the name of the instance, and the copy. Reading it to its end raises StoreError if it is damaged."""
    with client.download("store", "backup", patience=PATIENCE) as answer:
        headers = answer.headers
        try:
            digest, at = headers["retrainer-backup-sha256"], epoch(headers["retrainer-backup-at"])
            size, schema = int(headers["retrainer-backup-bytes"]), headers["retrainer-backup-schema"]
            instance = headers["retrainer-instance"]
        except (KeyError, ValueError):
            raise StoreError(f"{answer.url}: the answer is no backup; is it a daemon of another release?") from None
        file = io.BufferedReader(PieceReader(_checked(answer, digest)), PART)
        yield instance, BackupContent(file, at, size, schema, digest)


def _checked(answer: httpx.Response, digest: str) -> Iterator[bytes]:
    seen = hashlib.sha256()
    for piece in answer.iter_bytes(PART):
        seen.update(piece)
        yield piece
    if seen.hexdigest() != digest:
        raise StoreError(f"{answer.url}: the copy was damaged on its way; try again")
