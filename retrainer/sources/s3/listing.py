"""What a listing of a bucket says of its objects, as events like those of their notifications."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from retrainer.event import Event
from retrainer.sources.formats.payload import event_id
from retrainer.sources.formats.s3 import identity
from retrainer.sources.s3.aws import in_words, s3_client

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from retrainer.config.models import Bucket, S3Source

EVENT_TYPE = "s3:ObjectCreated:Sweep"
"""Of events that stem from a listing; rules that match `s3:ObjectCreated:*` see them like any other."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One object. ``modified`` is in seconds since the epoch, by the clock of the server."""

    bucket: str
    key: str
    size: int
    etag: str
    modified: float

    @property
    def place(self) -> str:
        """What the store knows the object by."""
        return f"{self.bucket}/{self.key}"


class Listing:
    """Buckets of one account; every method raises Unavailable, in words, if they cannot be listed."""

    def __init__(self, config: S3Source) -> None:
        self._client = s3_client(config.region, config.endpoint_url)
        self._region = self._client.meta.region_name or ""

    def pages(self, bucket: Bucket) -> Iterator[list[Listed]]:
        """List what is there, a thousand objects at a time, in the order of their keys."""
        pages = iter(self._client.get_paginator("list_objects_v2").paginate(Bucket=bucket.name, Prefix=bucket.prefix))
        while True:
            with in_words(f"bucket {bucket.name}"):
                page = next(pages, None)
            if page is None:
                return
            yield [
                Listed(
                    bucket.name,
                    found["Key"],
                    found["Size"],
                    found.get("ETag", "").strip('"'),
                    found["LastModified"].timestamp(),
                )
                for found in page.get("Contents", [])
            ]

    def event(self, source: str, found: Listed) -> Event:
        """Make the event of an object; listed again and unchanged it has the same identity."""
        data = {
            "bucket": found.bucket,
            "key": found.key,
            "size": found.size,
            "etag": found.etag,
            "version": "",
            "sequencer": "",
            "region": self._region,
        }
        # The content may come back after it was another for a while; when it was written tells the two apart.
        name = f"{identity(EVENT_TYPE, data)} {found.modified:.3f}"
        return Event(source, event_id(name), EVENT_TYPE, found.modified, data, subject=found.key)

    def close(self) -> None:
        self._client.close()


def distinct(buckets: Sequence[Bucket]) -> list[Bucket]:
    """Drop what another one lists too, so that no object is seen twice."""
    unique = list(dict.fromkeys(buckets))
    return [one for one in unique if not any(_covers(other, one) for other in unique if other != one)]


def _covers(other: Bucket, one: Bucket) -> bool:
    return other.name == one.name and one.prefix.startswith(other.prefix)
