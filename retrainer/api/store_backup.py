"""A backup of the SQLite store through the API, and the record of the last one."""

import shutil
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from pydantic import Field, PlainSerializer

from retrainer.api.acting import Acts
from retrainer.api.context import ApiContext
from retrainer.api.description import problems
from retrainer.api.parameters import Context, Instant
from retrainer.api.views import Moment, RequestBody, View
from retrainer.sources.http.refusal import Refusal, not_now
from retrainer.store import last_backup
from retrainer.store.backup import BackupContent, snapshot
from retrainer.store.base import StoreError
from retrainer.util.timefmt import rfc3339

router = APIRouter(prefix="/store", tags=["daemon"])
PIECE = 1024**2
"""Bytes that are read at once."""
LEFT_FREE = 64 * 1024**2
"""Bytes that a copy leaves free on the volume of the store."""
CLOCKS_DIFFER = 300.0
"""Seconds by which the clock of the machine that reports a backup may be ahead."""
_copying = threading.Lock()


class SqliteFile(StreamingResponse):
    media_type = "application/vnd.sqlite3"


class LastBackup(View):
    at: Moment
    """Time of its content."""
    bytes: int
    place: str
    """Where it is."""


class ReportedBackup(RequestBody):
    at: Annotated[Instant, PlainSerializer(datetime.timestamp)]
    """Time of its content, RFC 3339: all that was acknowledged by then is in it."""
    bytes: Annotated[int, Field(ge=0, le=2**63 - 1)]
    place: Annotated[str, Field(min_length=1, max_length=1024)]
    """Where it is, such as `s3://backups/retrainer-20261130T021700Z.db`. No secrets: the API shows it."""


@router.post("/backup", response_class=SqliteFile, responses=problems(409, 507))
def download_backup(api: Context, acts: Acts) -> SqliteFile:
    """Copy the SQLite store and send the copy, which needs as much free space on the volume of the store.

    The headers have its time, schema and SHA-256.
    """
    if api.settings.store.url is not None:
        raise Refusal(409, "the store is a PostgreSQL database: back it up with pg_dump")
    content = acts.on("backup").outside(lambda: _copied(api))
    headers = {
        "Content-Length": str(content.bytes),
        "Retrainer-Instance": api.settings.name,
        "Retrainer-Backup-At": rfc3339(content.at),
        "Retrainer-Backup-Schema": content.schema,
        "Retrainer-Backup-SHA256": content.sha256,
    }
    return SqliteFile(_pieces(content), headers=headers)


def _copied(api: ApiContext) -> BackupContent:
    path = Path(api.settings.store.path).resolve()
    if not _copying.acquire(blocking=False):
        raise not_now("another backup is being copied; wait for its end", 30)
    try:
        _check_space(path, api.engine.store.size())
        return snapshot(path, path.parent, api.engine.clock, lambda *_: None)
    except StoreError as error:
        raise not_now(str(error), 60) from None
    finally:
        _copying.release()


def _check_space(path: Path, needed: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if free < needed + LEFT_FREE:
        raise Refusal(
            507,
            f"the copy needs {needed + LEFT_FREE} bytes on the volume of {path}, and {free} are free: enlarge the "
            "volume, or run `retrainer store backup` beside the daemon, with a target on another volume",
        )


def _pieces(content: BackupContent) -> Iterator[bytes]:
    with content.file:
        while piece := content.file.read(PIECE):
            yield piece


@router.put("/last-backup", response_model=LastBackup)
def report_backup(api: Context, acts: Acts, made: ReportedBackup) -> Any:
    """Report a complete backup, whatever made it, for the metrics. One that is older than the last changes nothing."""
    given = made.model_dump()
    if given["at"] > api.engine.clock.now() + CLOCKS_DIFFER:
        raise Refusal(422, f"at: {rfc3339(given['at'])} is in the future; send the time at which the backup began")
    act = acts.on("report_backup", target=given["place"])
    act(lambda tx: last_backup.note_backup(tx.conn, given["at"], given["bytes"], given["place"]))
    return api.read(last_backup.last_backup)


@router.get("/last-backup", response_model=LastBackup, responses=problems(404))
def show_last_backup(api: Context) -> Any:
    """The last backup that was reported."""
    known = api.read(last_backup.last_backup)
    if known is None:
        raise Refusal(404, "no backup was reported yet")
    return known
