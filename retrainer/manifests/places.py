"""Places for manifests that workflows can read without the daemon: a volume or a bucket."""

from __future__ import annotations

import io
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from retrainer.util.piece_reader import PieceReader
from retrainer.util.regular_files import sync

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_s3.client import S3Client

    from retrainer.config.settings import S3Manifests, VolumeManifests

CONNECT_TIMEOUT, READ_TIMEOUT = 5, 20
"""Timeouts of one S3 request, in seconds."""
PART = 8 * 1024**2
"""Bytes of a part. A smaller manifest is uploaded with one request."""


class PlaceError(Exception):
    """The document cannot be written now. The message names the place, and how to fix it."""


class Place(Protocol):
    """Writes documents atomically: a reader never sees a partial one."""

    def has(self, name: str) -> bool:
        """Return whether a document with this name exists; False if that cannot be determined."""

    def put(self, name: str, pieces: Iterator[bytes]) -> None:
        """Write a document, and replace an existing one. Raise PlaceError."""


class Volume:
    """A folder mounted by the daemon and the workflows."""

    def __init__(self, settings: VolumeManifests) -> None:
        self._folder = Path(settings.path)

    def has(self, name: str) -> bool:
        return (self._folder / name).is_file()

    def put(self, name: str, pieces: Iterator[bytes]) -> None:
        unfinished = self._folder / f".{name}.unfinished"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with unfinished.open("wb") as file:
                file.writelines(pieces)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(self._folder / name)
            sync(self._folder)
        except OSError as error:
            raise PlaceError(
                f"{self._folder / name}: {error.strerror or error}; the volume of `manifests.path` must be mounted, "
                "with room, and writable for this user"
            ) from error
        finally:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)


class ManifestBucket:
    """A bucket of S3 or a compatible service. Credentials come from the usual AWS chain."""

    def __init__(self, settings: S3Manifests) -> None:
        bucket, _, prefix = settings.url.removeprefix("s3://").partition("/")
        self._bucket, self._prefix = bucket, f"{prefix.rstrip('/')}/" if prefix.rstrip("/") else ""
        self._client = _client(settings)

    def has(self, name: str) -> bool:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - load it only if used

        try:
            self._client.head_object(Bucket=self._bucket, Key=self._prefix + name)
        except (ClientError, BotoCoreError):
            return False
        return True

    def put(self, name: str, pieces: Iterator[bytes]) -> None:
        from boto3.exceptions import Boto3Error  # noqa: PLC0415 - load it only if used
        from boto3.s3.transfer import TransferConfig  # noqa: PLC0415
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        whole = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, use_threads=False)
        kind = {"ContentType": "application/json"}
        try:
            self._client.upload_fileobj(
                io.BufferedReader(PieceReader(pieces), PART),
                self._bucket,
                self._prefix + name,
                ExtraArgs=kind,
                Config=whole,
            )
        except (ClientError, BotoCoreError, Boto3Error) as error:
            raise PlaceError(
                f"s3://{self._bucket}/{self._prefix}{name}: {error}; the bucket of `manifests.url` must be there, and "
                "writable (s3:PutObject) with the credentials that the daemon has"
            ) from error


def _client(settings: S3Manifests) -> S3Client:
    import boto3  # noqa: PLC0415 - load it only if used
    from botocore.config import Config  # noqa: PLC0415

    read_timeout = Config(connect_timeout=CONNECT_TIMEOUT, read_timeout=READ_TIMEOUT, retries={"total_max_attempts": 2})
    session = boto3.session.Session()
    return session.client("s3", endpoint_url=settings.endpoint_url, region_name=settings.region, config=read_timeout)
