"""One configured webhook: what it accepts, and how it is parsed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from retrainer.config.models import AlertmanagerSource, Listener, S3Source, WebhookSource
from retrainer.sources.formats import alertmanager, cloudevents
from retrainer.sources.formats.notification import NotificationFormat
from retrainer.sources.formats.payload import Delivery, TooMany
from retrainer.sources.formats.registry import Items, Parse, parser
from retrainer.sources.http.body import gunzip
from retrainer.sources.http.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping


Served = WebhookSource | AlertmanagerSource | S3Source
"""Sources with a webhook; an S3 source only if its notifications come by webhook."""
SNS = "text/plain"
"""The content type that SNS sends for its JSON."""


@dataclass(frozen=True, slots=True)
class Hook:
    """``parse`` parses the source's format. ``identity_window`` and ``tracked``: see `Batch`."""

    name: str
    config: Listener
    format: str
    parse: Parse
    identity_window: float
    tracked: bool = False

    @classmethod
    def of(cls, name: str, config: Served) -> Hook:
        """Create the hook of a source. Raise ValueError if an expression does not compile."""
        if isinstance(config, AlertmanagerSource):
            return cls(name, config, "alertmanager", alertmanager.parse, config.identity_window)
        if isinstance(config, WebhookSource):
            return cls(name, config, config.format, parser(config), config.identity_window)
        if config.via.webhook is None:
            raise ValueError(f"source {name} does not listen for webhooks")
        parse = NotificationFormat(config.key_encoding).parse
        return cls(name, config.via.webhook, "s3", parse, config.identity_window, tracked=config.sweep is not None)

    def check_content(self, headers: Mapping[str, str]) -> None:
        """Raise Refusal 415 for a content type that this source's format cannot be."""
        _check_encoding(headers)
        media = _media_type(headers)
        if self.format == "cloudevents":
            _check_cloudevents(media, headers)
        elif media not in ("application/json", SNS) and not media.endswith("+json"):
            raise Refusal(415, f"content type {media:.80}: send Content-Type: application/json")

    def unpack(self, delivery: Delivery) -> Delivery:
        """Decompress if needed. Raise Refusal 413 if the result exceeds the size limit, Unreadable if it is broken."""
        if delivery.headers.get("content-encoding", "").strip().lower() != "gzip":
            return delivery
        return replace(delivery, body=gunzip(delivery.body, delivery.max_size))

    def read(self, delivery: Delivery) -> Items:
        """Parse. Raise Refusal 413 for more events than one request may have."""
        try:
            return self.parse(delivery)
        except TooMany as error:
            raise Refusal(413, str(error), {"Connection": "close"}) from None


def _check_encoding(headers: Mapping[str, str]) -> None:
    if headers.get("content-encoding", "identity").strip().lower() not in ("identity", "gzip"):
        raise Refusal(415, "bodies may be sent as they are or with Content-Encoding: gzip", {"Accept-Encoding": "gzip"})


def _media_type(headers: Mapping[str, str]) -> str:
    media, _, parameters = headers.get("content-type", "application/json").lower().partition(";")
    charset = parameters.partition("charset=")[2].partition(";")[0].strip(' "') or "utf-8"
    if charset not in ("utf-8", "utf8", "us-ascii"):
        raise Refusal(415, f"charset {charset:.40}: send UTF-8")
    return media.strip()


def _check_cloudevents(media: str, headers: Mapping[str, str]) -> None:
    known = media in (cloudevents.STRUCTURED, cloudevents.BATCH)
    binary = not media.startswith("application/cloudevents") and any(name.startswith("ce-") for name in headers)
    if not known and not binary:
        expected = f"{cloudevents.STRUCTURED}, {cloudevents.BATCH}, or any type with ce-* headers"
        raise Refusal(415, f"content type {media:.80} is not a CloudEvent: send {expected}")
