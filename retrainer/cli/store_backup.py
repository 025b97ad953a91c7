"""Back up a store to a file, a folder or a bucket, and restore it from there."""

from __future__ import annotations

import signal
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from retrainer.cli import show
from retrainer.cli.backup_places import BackupFolder, BucketOptions, newest, place_of
from retrainer.cli.session import Session, local, remote
from retrainer.cli.store_location import FILES, URLS, locate_store, store_option
from retrainer.config.models import parse_duration
from retrainer.store.backup import back_up, contained, snapshot
from retrainer.store.backup_names import BackupRetention, NamedBackup, parse_name
from retrainer.store.base import StoreError
from retrainer.store.restore import restore as put_back
from retrainer.util.clock import SystemClock
from retrainer.util.new_file import draft_of, new_file
from retrainer.util.timefmt import moment, rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from retrainer.cli.backup_places import BackupPlace
    from retrainer.store.backup import BackupContent

PG_DUMP = b"PGDMP"
"""First bytes of what `pg_dump --format=custom` writes."""

_ENDPOINT = click.option(
    "--endpoint-url",
    metavar="URL",
    envvar="AWS_ENDPOINT_URL_S3",
    show_envvar=True,
    help="Address of the server of the bucket, if it is not AWS.",
)
_NAME = click.option(
    "--name", "instance", metavar="NAME", help="Name of the instance in the names of backups. Default: as in settings."
)


def _seconds(_context: click.Context, _parameter: click.Parameter, text: str | None) -> float | None:
    try:
        return None if text is None else parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@dataclass(frozen=True, slots=True)
class BackupTarget:
    """``name`` is empty if it follows from the ``instance`` and the time. An empty instance is that of the source."""

    place: BackupPlace
    name: str
    instance: str

    def named(self, instance: str, at: float, kind: str) -> str:
        return self.name or NamedBackup(at, self.instance or instance, kind).name


@dataclass(frozen=True, slots=True)
class MadeBackup:
    name: str
    path: str
    """Its address."""
    at: float
    bytes: int
    schema: str


@click.command()
@click.argument("target", metavar="TO")
@store_option
@click.option("--from-daemon", is_flag=True, help="Get the copy from the daemon at --url, instead of reading its file.")
@click.option(
    "--dump", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Put this file of pg_dump there."
)
@click.option("--report", is_flag=True, help="Report it to the daemon at --url, as --from-daemon does.")
@_NAME
@click.option("--keep", metavar="N", type=click.IntRange(min=1), help="Of the backups in TO, keep the N newest.")
@click.option(
    "--keep-for", metavar="DURATION", callback=_seconds, help="Of the backups in TO, keep those younger, such as 30d."
)
@_ENDPOINT
@click.option("--sse", metavar="ALGORITHM", help="Encryption by the server of the bucket: AES256 or aws:kms.")
@click.option("--kms-key", metavar="ID", help="Key for --sse aws:kms. Default: that of the account.")
@remote
def backup(
    session: Session,
    target: str,
    place: str,
    from_daemon: bool,
    dump: Path | None,
    report: bool,
    instance: str | None,
    keep: int | None,
    keep_for: float | None,
    endpoint_url: str | None,
    sse: str | None,
    kms_key: str | None,
) -> None:
    """Copy a SQLite store to TO, while the daemon runs or not, and check the copy.

    TO is a new file, or a folder, which gets a file NAME-TIME.db; either may be in a bucket: s3://bucket/prefix/.
    A folder ends with a slash. With --keep or --keep-for, backups in it that neither of the two keeps are removed,
    after the new one is complete.

    The copy is the store as it was when the command began. It appears only when it is complete, and nothing is
    overwritten. For PostgreSQL, the command to run instead is shown; --dump takes what it wrote.

    Example: retrainer store backup s3://backups/retrainer/ --keep 14
    """
    if from_daemon and dump:
        raise click.UsageError("--from-daemon and --dump: leave one of them out")
    began = SystemClock().monotonic()
    with _reported(session):
        where, name = place_of(target, BucketOptions(endpoint_url, sse, kms_key))
        if name and (keep or keep_for is not None):
            raise click.UsageError(f"{target} names a file, and --keep and --keep-for are for folders: {target}/")
        where.check()
        wanted = BackupTarget(where, name, instance or "")
        if from_daemon:
            made = _of_daemon(session, wanted)
        else:
            made = _of_dump(wanted, dump) if dump else _of_store(session, wanted, place)
        if from_daemon or report:
            _report(session, made)
        removed = _prune(where, made, BackupRetention(keep, keep_for))
    seconds = SystemClock().monotonic() - began
    answer = {"path": made.path, "at": moment(made.at), "seconds": round(seconds, 3), "bytes": made.bytes}
    answer |= {"schema": made.schema, "removed": removed}
    session.print(answer, lambda console: _backed(console, made, seconds, removed))


def _of_store(session: Session, wanted: BackupTarget, place: str) -> MadeBackup:
    if not place.startswith(URLS) and not Path(place).is_file():
        raise session.failure(f"--store: file {place!r} does not exist")
    settings, instance = locate_store(session, place)
    if settings.url is not None:
        from retrainer.store.pg_dump import pg_dump  # noqa: PLC0415 - load only the driver in use

        file = Path(wanted.name or "retrainer.dump")
        raise session.failure(
            "nothing was backed up: PostgreSQL has its own tool for it, also while replicas run. The password comes "
            f"from PGPASSWORD or a password file. Run\n  {pg_dump(settings.url, file)}"
        )
    clock, path = SystemClock(), Path(settings.path)
    if isinstance(wanted.place, BackupFolder):
        name = wanted.named(instance, clock.now(), "db")
        made = back_up(path, wanted.place.path / name, clock, _show_progress)
        return MadeBackup(name, str(made.path), made.at, made.bytes, made.schema)
    content = snapshot(path, Path(tempfile.gettempdir()), clock, _show_progress)
    with content.file:
        return _put(wanted, wanted.named(instance, content.at, "db"), content)


def _of_dump(wanted: BackupTarget, dump: Path) -> MadeBackup:
    """Its time is its modification time."""
    try:
        with dump.open("rb") as file:
            if file.read(len(PG_DUMP)) != PG_DUMP:
                raise StoreError(f"--dump {dump}: is no file of `pg_dump --format=custom`")
            file.seek(0)
            content = contained(file, dump.stat().st_mtime, "")
            return _put(wanted, wanted.named("retrainer", content.at, "dump"), content)
    except OSError as error:
        raise StoreError(f"--dump {dump}: {error.strerror or error}") from error


def _of_daemon(session: Session, wanted: BackupTarget) -> MadeBackup:
    from retrainer.cli.backup_download import download  # noqa: PLC0415 - load HTTP only if it is used

    with download(session.client) as (instance, content):
        return _put(wanted, wanted.named(instance, content.at, "db"), content)


def _put(wanted: BackupTarget, name: str, content: BackupContent) -> MadeBackup:
    wanted.place.put(name, content)
    return MadeBackup(name, wanted.place.address(name), content.at, content.bytes, content.schema)


def _report(session: Session, made: MadeBackup) -> None:
    """Tell the daemon about a complete backup, for its metrics."""
    session.client.put("store", "last-backup", body={"at": rfc3339(made.at), "bytes": made.bytes, "place": made.path})


def _prune(where: BackupPlace, made: MadeBackup, retention: BackupRetention) -> list[str]:
    """Remove backups that are no longer kept. Return their names, oldest first."""
    parsed = parse_name(made.name)
    if parsed is None or not retention.limits:
        return []
    expired = retention.expired(parsed, where.sizes())
    try:
        for name in expired:
            where.remove(name)
    except StoreError as error:
        raise StoreError(f"{made.path} is complete, but older backups could not be removed: {error}") from error
    return expired


@contextmanager
def _reported(session: Session) -> Iterator[None]:
    """Report a StoreError to the user. Raise SystemExit at SIGTERM, so that an incomplete copy is removed."""

    def end(number: int, _frame: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except StoreError as error:
        raise session.failure(str(error)) from None
    finally:
        show.progress()
        signal.signal(signal.SIGTERM, before)


def _show_progress(done: int, pages: int) -> None:
    show.progress(f"{100 * done // max(1, pages)} % of {pages} pages")


def _backed(console: Console, made: MadeBackup, seconds: float, removed: list[str]) -> None:
    what = f"{made.bytes} bytes, the store as of {moment(made.at)}, in {seconds:.1f} s"
    console.print(f"{made.path} is complete and intact: {what}", soft_wrap=True)
    if removed:
        console.print(f"removed: {', '.join(removed)}", soft_wrap=True)


@click.command()
@click.argument("source", metavar="FROM")
@store_option
@_NAME
@_ENDPOINT
@local
def restore(session: Session, source: str, place: str, instance: str | None, endpoint_url: str | None) -> None:
    """Put the backup FROM in the place of the SQLite store of a stopped daemon. The old store is kept beside it.

    FROM is a file, a folder, of which the newest backup is taken, or either in a bucket: s3://bucket/prefix/. The
    backup is checked before anything is changed.

    Example: retrainer store restore s3://backups/retrainer/
    """
    settings, of_settings = locate_store(session, place)
    if settings.url is not None:
        raise session.failure(
            "nothing was restored: restore a PostgreSQL store with pg_restore, with all replicas stopped"
        )
    path = Path(settings.path)
    mine = instance or (of_settings if place.endswith(FILES) else None)
    with _reported(session):
        where, name = place_of(source, BucketOptions(endpoint_url))
        name = name or newest(where, mine)
        with _local(where, name, path.parent) as backup_file:
            made = put_back(backup_file, path, _show_progress)
    before = str(made.before) if made.before else None
    answer = {"path": str(made.path), "backup": where.address(name), "schema": made.schema, "before": before}
    kept = f"; the store that was there is {before}" if before else ""
    text = f"{made.path} is the backup {where.address(name)}{kept}"
    session.print(answer, lambda console: console.print(text, soft_wrap=True))


@contextmanager
def _local(where: BackupPlace, name: str, folder: Path) -> Iterator[Path]:
    """Yield a file with the backup. One from a bucket is in ``folder`` meanwhile."""
    if isinstance(where, BackupFolder):
        yield where.existing(name)
        return
    try:
        with draft_of(folder / name) as draft:
            where.fetch(name, draft)
            yield draft
    except OSError as error:
        raise StoreError(f"{folder}: {error.strerror or error}") from error


@click.command()
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO", type=click.Path(path_type=Path))
@_NAME
@_ENDPOINT
@local
def fetch(session: Session, source: str, target: Path, instance: str | None, endpoint_url: str | None) -> None:
    """Copy the backup FROM to the new file TO, and compare its checksum: for pg_restore, or to look into it.

    FROM is as for `retrainer store restore`: of a folder, the newest.

    Example: retrainer store fetch s3://backups/retrainer/ retrainer.dump
    """
    with _reported(session):
        where, name = place_of(source, BucketOptions(endpoint_url))
        name = name or newest(where, instance)
        try:
            with new_file(target) as draft:
                where.fetch(name, draft)
        except OSError as error:
            raise StoreError(f"{target}: {error.strerror or error}") from error
    answer = {"path": str(target), "backup": where.address(name), "bytes": target.stat().st_size}
    text = f"{target} is {where.address(name)}: {answer['bytes']} bytes"
    session.print(answer, lambda console: console.print(text, soft_wrap=True))


@click.command()
@click.argument("source", metavar="FOLDER")
@_ENDPOINT
@local
def backups(session: Session, source: str, endpoint_url: str | None) -> None:
    """List the backups in a folder, or in a bucket: s3://bucket/prefix/. Newest first.

    Example: retrainer store backups s3://backups/retrainer/
    """
    with _reported(session):
        where, _ = place_of(source.rstrip("/") + "/", BucketOptions(endpoint_url))
        sizes = where.sizes()
    found = sorted(filter(None, map(parse_name, sizes)), reverse=True)
    items = [
        {"path": where.address(one.name), "at": moment(one.at), "bytes": sizes[one.name], "instance": one.instance}
        for one in found
    ]
    session.print({"items": items}, lambda console: _listed(console, items, where.address("")))


def _listed(console: Console, items: list[dict[str, Any]], place: str) -> None:
    rows = [(item["path"], item["at"], item["bytes"]) for item in items]
    show.table(console, ("BACKUP", "TIME", "BYTES"), rows, f"{place} has no backup")
