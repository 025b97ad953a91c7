"""A backup of the SQLite store through the API, and the record of the last one."""

import shutil
import threading
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import structlog
from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from pydantic import Field, PlainSerializer
from starlette.types import Receive, Scope, Send

from retrainer.api.acting import Acts
from retrainer.api.context import ApiContext
from retrainer.api.description import problems
from retrainer.api.parameters import Context, Instant
from retrainer.api.views import PRINTABLE, Moment, RequestBody, View, WholeNumber
from retrainer.sources.http.refusal import Refusal, not_now
from retrainer.store import last_backup
from retrainer.store.backup import DRAFT, BackupContent, snapshot
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
log = structlog.get_logger()


class SqliteFile(StreamingResponse):
    """A copy, which is closed when the answer ends, however it ends: its space is free then."""

    media_type = "application/vnd.sqlite3"

    content: BackupContent

    @classmethod
    def of(cls, content: BackupContent, instance: str) -> "SqliteFile":
        headers = {
            "Content-Length": str(content.bytes),
            "Retrainer-Backup-Bytes": str(content.bytes),
            "Retrainer-Instance": instance,
            "Retrainer-Backup-At": rfc3339(content.at),
            "Retrainer-Backup-Schema": content.schema,
            "Retrainer-Backup-SHA256": content.sha256,
        }
        made = cls(iter(partial(content.file.read, PIECE), b""), headers=headers)
        made.content = content
        return made

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.content.file.close()


class LastBackup(View):
    at: Moment
    """Time of its content."""
    bytes: int
    place: str
    """Where it is."""


class ReportedBackup(RequestBody):
    at: Annotated[Instant, PlainSerializer(datetime.timestamp)]
    """Time of its content, RFC 3339: all that was acknowledged by then is in it."""
    bytes: WholeNumber
    place: Annotated[str, Field(min_length=1, max_length=1024, pattern=PRINTABLE)]
    """Where it is, such as `s3://backups/retrainer-20261130T021700Z.db`. No secrets: the API shows it."""


@router.post("/backup", response_class=SqliteFile, responses=problems(409, 507))
def download_backup(api: Context, acts: Acts) -> SqliteFile:
    """Copy the SQLite store and send the copy, which needs as much free space on the volume of the store.

    The headers have its time, schema and SHA-256.
    """
    if api.settings.store.url is not None:
        raise Refusal(409, "the store is a PostgreSQL database: back it up with pg_dump")
    content = acts.on("backup").outside(lambda: _copied(api))
    log.info("store.copied", bytes=content.bytes, at=rfc3339(content.at))
    return SqliteFile.of(content, api.settings.name)


def _copied(api: ApiContext) -> BackupContent:
    path = Path(api.settings.store.path).resolve()
    if not _copying.acquire(blocking=False):
        raise not_now("another backup is being copied; wait for its end", 30)
    try:
        for left in path.parent.glob(f".{path.name}{DRAFT}.*.part"):  # of a daemon that was killed meanwhile
            left.unlink(missing_ok=True)
        _check_space(path, api.engine.store.size())
        return snapshot(path, path.parent, api.engine.clock, lambda *_: None)
    except (StoreError, OSError) as error:
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
