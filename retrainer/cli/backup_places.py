"""Where backups are kept: a folder, or a bucket. A name appears there only once its backup is complete."""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from retrainer.store.backup_names import parse_name
from retrainer.store.base import StoreError
from retrainer.util.new_file import new_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_s3 import S3Client

    from retrainer.store.backup import BackupContent

S3 = "s3://"
PART = 16 * 1024**2
"""Bytes of a part of an upload, and of what is copied at once."""
ATTEMPTS = 5
"""How often a request to the bucket is sent."""
_DIGEST = "sha256"
"""Name of the checksum in the metadata of an object."""


@dataclass(frozen=True, slots=True)
class BucketOptions:
    endpoint_url: str | None = None
    sse: str | None = None
    kms_key: str | None = None

    @property
    def of_upload(self) -> dict[str, Any]:
        wanted = {"ServerSideEncryption": self.sse, "SSEKMSKeyId": self.kms_key}
        return {name: value for name, value in wanted.items() if value is not None}


class BackupPlace(Protocol):
    """All methods raise StoreError, with the address and the reason."""

    def address(self, name: str) -> str:
        """Return what names this backup, for this and other programs."""

    def check(self) -> None:
        """Raise StoreError before a copy is made for nothing: there is no such folder or bucket, or it is not ours."""

    def put(self, name: str, content: BackupContent) -> None:
        """Write a backup. It appears when it is complete and durable. An existing one is not overwritten."""

    def sizes(self) -> dict[str, int]:
        """Return the bytes of each backup there, by name. Other files are left out."""

    def remove(self, name: str) -> None: ...

    def fetch(self, name: str, into: Path) -> None:
        """Fill the empty file ``into`` with the backup. A checksum that was stored with it is compared."""


@dataclass(frozen=True, slots=True)
class BackupFolder:
    """A folder on this machine, such as a mounted volume."""

    path: Path

    def address(self, name: str) -> str:
        return str(self.path / name)

    def check(self) -> None:
        if not self.path.is_dir():
            raise StoreError(f"{self.path}: there is no folder of this name; create it, or name another")

    def put(self, name: str, content: BackupContent) -> None:
        with self._reported(name), new_file(self.path / name) as draft, draft.open("wb") as file:
            shutil.copyfileobj(content.file, file, PART)
            file.flush()
            os.fsync(file.fileno())

    def sizes(self) -> dict[str, int]:
        with self._reported(""):
            found = [entry for entry in os.scandir(self.path) if parse_name(entry.name) and entry.is_file()]
            return {entry.name: entry.stat().st_size for entry in found}

    def remove(self, name: str) -> None:
        with self._reported(name):
            (self.path / name).unlink(missing_ok=True)

    def fetch(self, name: str, into: Path) -> None:
        with self._reported(name):
            shutil.copyfile(self.existing(name), into)

    def existing(self, name: str) -> Path:
        """Return the file of a backup. Raise StoreError if there is none."""
        if not (self.path / name).is_file():
            raise StoreError(f"{self.address(name)}: there is no such file")
        return self.path / name

    @contextmanager
    def _reported(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(f"{self.address(name)}: {error.strerror or error}") from error


@dataclass(slots=True)
class BackupBucket:
    """A bucket of S3 or a compatible server. Credentials and region come from the usual AWS chain."""

    bucket: str
    prefix: str
    options: BucketOptions
    _made: list[S3Client] = field(default_factory=list)

    def address(self, name: str) -> str:
        return f"{S3}{self.bucket}/{self.prefix}{name}"

    def check(self) -> None:
        with self._reported(""):
            self._client.list_objects_v2(Bucket=self.bucket, Prefix=self.prefix, MaxKeys=1)

    def put(self, name: str, content: BackupContent) -> None:
        """Upload with a SHA-256 of each part, which the server compares. The one of the whole is in the metadata."""
        from boto3.s3.transfer import TransferConfig  # noqa: PLC0415 - load it only if used

        if self._size(name) is not None:
            raise StoreError(f"{self.address(name)}: exists already, and is not overwritten; name a new one")
        extra = {"Metadata": {_DIGEST: content.sha256}, "ChecksumAlgorithm": "SHA256", **self.options.of_upload}
        parts = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, max_concurrency=2)
        with self._reported(name):
            key = self.prefix + name
            self._client.upload_fileobj(content.file, self.bucket, key, ExtraArgs=extra, Config=parts)
        if (size := self._size(name)) != content.bytes:
            raise StoreError(f"{self.address(name)}: has {size} of {content.bytes} bytes; try again with another name")

    def sizes(self) -> dict[str, int]:
        with self._reported(""):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=self.prefix, Delimiter="/"
            )
            entries = [entry for page in pages for entry in page.get("Contents", [])]
            found = {entry["Key"].removeprefix(self.prefix): entry["Size"] for entry in entries}
        return {name: size for name, size in found.items() if parse_name(name)}

    def remove(self, name: str) -> None:
        with self._reported(name):
            self._client.delete_object(Bucket=self.bucket, Key=self.prefix + name)

    def fetch(self, name: str, into: Path) -> None:
        with self._reported(name):
            answer = self._client.get_object(Bucket=self.bucket, Key=self.prefix + name)
            with into.open("r+b") as file:
                shutil.copyfileobj(answer["Body"], file, PART)
                file.seek(0)
                found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != answer["Metadata"].get(_DIGEST, found):
            raise StoreError(f"{self.address(name)}: is damaged: its checksum is not the one it was stored with")

    def _size(self, name: str) -> int | None:
        """Return the bytes of an object; None if there is none."""
        from botocore.exceptions import ClientError  # noqa: PLC0415 - load it only if used

        with self._reported(name):
            try:
                return int(self._client.head_object(Bucket=self.bucket, Key=self.prefix + name)["ContentLength"])
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                    return None
                raise

    @property
    def _client(self) -> S3Client:
        from retrainer.sources.s3.aws import s3_client  # noqa: PLC0415 - load it only if used

        if not self._made:
            self._made.append(s3_client(None, self.options.endpoint_url, ATTEMPTS))
        return self._made[0]

    @contextmanager
    def _reported(self, name: str) -> Iterator[None]:
        from retrainer.sources.s3.aws import Unavailable, in_words  # noqa: PLC0415 - load it only if used

        try:
            with in_words(self.address(name)):
                yield
        except (Unavailable, OSError) as error:
            raise StoreError(str(error)) from error


def place_of(target: str, options: BucketOptions) -> tuple[BackupPlace, str]:
    """Return the folder or bucket that ``target`` is in, and its name there; no name if ``target`` is a folder itself.

    Raise StoreError.
    """
    if target.startswith(S3):
        bucket, _, key = target.removeprefix(S3).partition("/")
        if not bucket:
            raise StoreError(f"{target}: the bucket is missing; write s3://bucket/prefix/")
        prefix, slash, name = key.rpartition("/")
        return BackupBucket(bucket, prefix + slash, options), name
    if target.endswith("/") or Path(target).is_dir():
        return BackupFolder(Path(target)), ""
    return BackupFolder(Path(target).parent), Path(target).name


def newest(place: BackupPlace, instance: str | None) -> str:
    """Return the name of the newest backup, of this instance if one is named. Raise StoreError."""
    found = [parsed for name in place.sizes() if (parsed := parse_name(name))]
    mine = [one for one in found if instance in (None, one.instance)]
    if not mine:
        others = f"; there are some of {', '.join(sorted({one.instance for one in found}))}" if found else ""
        raise StoreError(f"{place.address('')}: has no backup{f' of {instance}' if instance else ''}{others}")
    if len(instances := sorted({one.instance for one in mine})) > 1:
        raise StoreError(f"{place.address('')}: has backups of {', '.join(instances)}; name one with --name")
    return max(mine).name
