"""Lists the objects of buckets, as events like those of notifications."""

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
"""Type of events from a listing. Rules that match `s3:ObjectCreated:*` include them."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One object. ``modified`` is in seconds since the epoch, by the server's clock."""

    bucket: str
    key: str
    size: int
    etag: str
    modified: float

    @property
    def place(self) -> str:
        """The key of the object in the store."""
        return f"{self.bucket}/{self.key}"


class BucketListing:
    """Buckets of one account. Every method raises Unavailable, with a message, if they cannot be listed."""

    def __init__(self, config: S3Source) -> None:
        self._client = s3_client(config.region, config.endpoint_url)
        self._region = self._client.meta.region_name or ""

    def pages(self, bucket: Bucket) -> Iterator[list[Listed]]:
        """Yield the objects of a bucket, a thousand at a time, ordered by key."""
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
        """Return the event of an object. An unchanged object gets the same identity again."""
        data = {
            "bucket": found.bucket,
            "key": found.key,
            "size": found.size,
            "etag": found.etag,
            "version": "",
            "sequencer": "",
            "region": self._region,
        }
        # An object may return to earlier content; its modification time distinguishes the two.
        name = f"{identity(EVENT_TYPE, data)} {found.modified:.3f}"
        return Event(source, event_id(name), EVENT_TYPE, found.modified, data, subject=found.key)

    def close(self) -> None:
        self._client.close()


def distinct(buckets: Sequence[Bucket]) -> list[Bucket]:
    """Drop buckets that another entry lists too, so that no object is listed twice."""
    unique = list(dict.fromkeys(buckets))
    return [one for one in unique if not any(_covers(other, one) for other in unique if other != one)]


def _covers(other: Bucket, one: Bucket) -> bool:
    return other.name == one.name and one.prefix.startswith(other.prefix)
