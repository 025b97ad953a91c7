"""The list of formats: maps a source's `format` setting to a parser."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from retrainer.event import Event, Poison
from retrainer.rules.expression import compile_cel
from retrainer.sources.formats import cloudevents
from retrainer.sources.formats.json import JsonFormat
from retrainer.sources.formats.notification import NotificationFormat
from retrainer.sources.formats.payload import Delivery
from retrainer.sources.formats.plain import Plain

if TYPE_CHECKING:
    from retrainer.config.models import KafkaSource, WebhookSource
    from retrainer.sources.formats.avro import Schemas

Items = tuple[Event | Poison, ...]
Parse = Callable[[Delivery], Items]
IDEMPOTENCY_KEY = "idempotency-key"


def parser(config: KafkaSource | WebhookSource, schemas: Schemas | None = None) -> Parse:
    """Return the parser for this source's payloads; ``schemas`` is for `format: avro`.

    Raise ValueError if an expression of the source does not compile.
    """
    if config.format == "cloudevents":
        return cloudevents.parse if config.type == "webhook" else cloudevents.parse_record
    if config.format == "s3":
        return NotificationFormat().parse
    id_, time = (compile_cel(text) if text is not None else None for text in (config.id, config.time))
    if config.format == "json":
        return JsonFormat(id_, time, IDEMPOTENCY_KEY if config.type == "webhook" else "").parse
    if schemas is None:
        raise ValueError("format avro needs a `schema_registry`")
    from retrainer.sources.formats.avro import AvroFormat  # noqa: PLC0415 - imported only by sources that read Avro

    return AvroFormat(schemas, Plain(id_, time)).parse
