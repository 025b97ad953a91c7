"""Bucket notifications from every channel: bare, or wrapped by SNS, by EventBridge, or by both.

The creation of an object gives the same event with the same identity on each channel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from retrainer.sources.formats import s3
from retrainer.sources.formats.payload import Delivery, Unreadable, load, poison

if TYPE_CHECKING:
    from collections.abc import Collection

    from retrainer.event import Event, Poison

# EventBridge's detail-type, or its reason or deletion-type where needed, mapped to the name that a bucket uses.
_CREATED = {
    "PutObject": "Put",
    "POST Object": "Post",
    "CopyObject": "Copy",
    "CompleteMultipartUpload": "CompleteMultipartUpload",
}
_REMOVED = {"Permanently Deleted": "Delete", "Delete Marker Created": "DeleteMarkerCreated"}
_OTHERS = {
    "Object Restore Initiated": "s3:ObjectRestore:Post",
    "Object Restore Completed": "s3:ObjectRestore:Completed",
    "Object Restore Expired": "s3:ObjectRestore:Delete",
    "Object Storage Class Changed": "s3:LifecycleTransition",
    "Object Access Tier Changed": "s3:IntelligentTiering",
    "Object ACL Updated": "s3:ObjectAcl:Put",
    "Object Tags Added": "s3:ObjectTagging:Put",
    "Object Tags Deleted": "s3:ObjectTagging:Delete",
}
_BY_LIFECYCLE = "Lifecycle Expiration"


@dataclass(frozen=True, slots=True)
class NotificationFormat:
    """``topics``: ARNs of the SNS topics whose envelopes are accepted; any if empty."""

    keys: s3.KeyEncoding = "auto"
    topics: Collection[str] = ()

    def parse(self, delivery: Delivery) -> tuple[Event | Poison, ...]:
        """Return one event per record.

        Return none for the test event that a bucket sends when notifications are set up, and none for an empty body,
        with which MinIO checks that the endpoint exists.
        """
        if not delivery.body:
            return ()
        try:
            body = load(delivery)
            if _is_envelope(body):
                delivery = replace(delivery, body=self._message(body).encode())
                body = load(delivery)
            return (_bridged(delivery, body),) if _is_bridged(body) else s3.read(delivery, body, self.keys)
        except Unreadable as error:
            return (poison(delivery, error),)

    def _message(self, envelope: dict[str, Any]) -> str:
        """Return the message in an SNS envelope. Raise Unreadable if its topic is not accepted, or for other types."""
        topic, kind = s3.text(envelope, "TopicArn"), s3.text(envelope, "Type")
        if self.topics and topic not in self.topics:
            raise Unreadable(f"from the SNS topic {topic:.200}, which is not among topic_arns")
        if kind != "Notification":
            raise Unreadable(
                f"an SNS message of type {kind:.40}: confirm the subscription of the topic {topic:.200} yourself, "
                "if you want it, with the Token in this message: aws sns confirm-subscription --topic-arn … --token …"
            )
        return s3.text(envelope, "Message", required=True)


def _is_envelope(body: Any) -> bool:
    return isinstance(body, dict) and "TopicArn" in body and "Message" in body


def _is_bridged(body: Any) -> bool:
    return isinstance(body, dict) and "detail-type" in body


def _bridged(delivery: Delivery, body: dict[str, Any]) -> Event:
    """EventBridge sends one event per message, with the key unencoded."""
    if s3.text(body, "source") != "aws.s3":
        raise Unreadable(f"an EventBridge event of {s3.text(body, 'source'):.40}: events of aws.s3 are expected")
    detail, thing = s3.part(body, "detail"), s3.part(body, "detail", "object")
    data = {
        "bucket": s3.text(s3.part(body, "detail", "bucket"), "name", required=True),
        "key": s3.text(thing, "key", required=True),
        "size": s3.size(thing.get("size")),
        "etag": s3.text(thing, "etag"),
        "version": s3.text(thing, "version-id"),
        "sequencer": s3.text(thing, "sequencer"),
        "region": s3.text(body, "region"),
    }
    return s3.event(delivery, _kind(s3.text(body, "detail-type"), detail), data, s3.text(body, "time"))


def _kind(detail_type: str, detail: dict[str, Any]) -> str:
    reason = s3.text(detail, "reason")
    if detail_type == "Object Created":
        return f"s3:ObjectCreated:{_CREATED.get(reason, reason or 'Put')}"
    if detail_type == "Object Deleted":
        family = "LifecycleExpiration" if reason == _BY_LIFECYCLE else "ObjectRemoved"
        return f"s3:{family}:{_REMOVED.get(s3.text(detail, 'deletion-type'), 'Delete')}"
    if detail_type in _OTHERS:
        return _OTHERS[detail_type]
    raise Unreadable(f"detail-type {detail_type:.40} is not an object event of S3")
