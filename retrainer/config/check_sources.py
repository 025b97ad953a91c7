"""Checks of sources and calendars that their models cannot express."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from retrainer.config.check_expressions import NAME, TIME, check_cel, check_glob
from retrainer.config.check_kafka import check_registry, check_topics
from retrainer.config.check_secrets import AWS, check_secrets, check_url
from retrainer.config.errors import cut
from retrainer.config.models import (
    AlertmanagerSource,
    Calendar,
    DirectorySource,
    KafkaSource,
    PrometheusSource,
    S3Source,
    WebhookSource,
)
from retrainer.config.violation import Violation, check_read, exactly_one
from retrainer.rules.calendars import Period
from retrainer.rules.environment import DELIVERY, TIMED
from retrainer.rules.zones import zone_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from retrainer.config.models import Listener, Source
    from retrainer.config.tree import Path


ENDPOINT = "/api/v1/query"
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?")
_SECRET = frozenset({"authorization", "proxy-authorization", "cookie"})
_VIA = (
    "write such as `via: {sqs: {queue_url: https://sqs.eu-central-1.amazonaws.com/123456789012/objects}}`, "
    "`via: {kafka: {bootstrap_servers: [kafka:9092], topics: [objects], group_id: retrainer}}` "
    "or `via: {webhook: {path: /hooks/s3}}`"
)
_OURS = frozenset({"content-type", "content-length", "host", "transfer-encoding", "accept-encoding"})


def check_source(source: Source) -> Iterator[Violation]:
    yield from check_secrets((), source)
    yield from check_form(source)


def check_form(source: Source) -> Iterator[Violation]:
    """Check a source without looking at this machine: not whether its secrets and certificates exist."""
    if isinstance(source, WebhookSource):
        yield from _own_identity(source, ("json",))
    if isinstance(source, DirectorySource):
        for i, glob in enumerate(source.ignore):
            yield from check_glob(("ignore", i), glob)
    if isinstance(source, KafkaSource):
        yield from check_topics((), source)
        yield from check_registry(source)
        yield from _own_identity(source, ("json", "avro"))
    if isinstance(source, S3Source):
        yield from _s3(source)
    if isinstance(source, PrometheusSource):
        yield from _prometheus(source)


def check_paths(sources: Mapping[str, Source]) -> Iterator[tuple[str, Violation]]:
    """Check that no two sources listen on one path. Yield the name of the second, with the violation."""
    first: dict[str, str] = {}
    for name, source in sources.items():
        path, listener = _listening(source)
        if listener is None:
            continue
        other = first.setdefault(listener.path.rstrip("/"), name)
        if other != name:
            yield (
                name,
                Violation(
                    (*path, "path"),
                    f"the source `{other}` listens on {listener.path} already",
                    "give each its own path",
                ),
            )


def check_calendar(calendar: Calendar) -> Iterator[Violation]:
    """Check each date and time separately, so that a violation has its position."""
    yield from check_read(("timezone",), zone_of, calendar.timezone)
    parts = [(("dates", i), Calendar(dates=[text])) for i, text in enumerate(calendar.dates)]
    parts += [(("times", i), Calendar(times=[text])) for i, text in enumerate(calendar.times)]
    whole = [((), calendar.model_copy(update={"timezone": "UTC"}))] if not parts else []
    for path, part in parts + whole:
        yield from check_read(path, Period, part)


def _listening(source: Source) -> tuple[Path, Listener | None]:
    if isinstance(source, S3Source):
        return ("via", "webhook"), source.via.webhook
    return (), source if isinstance(source, WebhookSource | AlertmanagerSource) else None


def _own_identity(source: WebhookSource | KafkaSource, formats: tuple[str, ...]) -> Iterator[Violation]:
    """`id` and `time` are for formats whose events do not have their own."""
    for name, text, scope in (("id", source.id, DELIVERY), ("time", source.time, TIMED)):
        if text is None:
            continue
        yield from check_cel((name,), text, scope, NAME if name == "id" else TIME)
        if source.format not in formats:
            yield Violation(
                (name,),
                f"`{name}` is for `format: {' or '.join(formats)}`; {source.format} events carry their own",
                "remove the line",
                of_key=True,
            )


def _s3(source: S3Source) -> Iterator[Violation]:
    yield from exactly_one(("via",), source.via, list(type(source.via).model_fields), missing=_VIA)
    if source.via.kafka is not None:
        yield from check_topics(("via", "kafka"), source.via.kafka)
    if source.via.sqs is not None:
        yield from check_url(("via", "sqs", "queue_url"), source.via.sqs.queue_url, AWS)
        yield from check_url(("via", "sqs", "endpoint_url"), source.via.sqs.endpoint_url, AWS)
    yield from check_url(("endpoint_url",), source.endpoint_url, AWS)
    if source.sweep is not None and not source.buckets:
        yield Violation(("sweep",), "no bucket to list is named", "add `buckets: [{name: NAME}]` to the source")


def _prometheus(source: PrometheusSource) -> Iterator[Violation]:
    yield from _url(source.url, source)
    if source.basic is not None and source.token is not None:
        yield Violation(("token",), "a password and a token exclude each other", "keep one", of_key=True)
    yield from _headers(source.headers, source)


def _url(url: str, source: PrometheusSource) -> Iterator[Violation]:
    try:
        parts = urlsplit(url)
        whole = bool(parts.hostname) and parts.port != 0
    except ValueError:
        whole = False
    if not whole:
        yield Violation(
            ("url",), f"{'this' if '@' in url else repr(url)} is not an address", "write such as http://prometheus:9090"
        )
    elif parts.username is not None or parts.password is not None:
        yield Violation(
            ("url",), "credentials are not allowed in the URL, because it is shown", _outside(parts, source)
        )
    elif parts.query or parts.fragment or parts.path.rstrip("/").endswith(ENDPOINT):
        yield Violation(
            ("url",), f"the URL must end before {ENDPOINT}", f"write {url.partition(ENDPOINT)[0].partition('?')[0]}"
        )


def _outside(parts: SplitResult, source: PrometheusSource) -> str:
    """The URL without what is secret, and where that belongs. The user's name is shown only beside a password."""
    url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    given = next((name for name in ("token", "basic") if getattr(source, name) is not None), "")
    user = parts.username if parts.password is not None and parts.username else "NAME"
    basic = f"and `basic: {{username: {user}, password: {{from_env: NAME}}}}`"
    return f"write `url: {url}`" + (f"; the source has `{given}` already" if given else f" {basic}")


def _as_a_secret(name: str, value: str, source: PrometheusSource) -> str:
    """What to write instead of a header that holds a secret."""
    scheme = value.partition(" ")[0].lower()
    if name.lower() != "authorization" or source.token is not None or source.basic is not None:
        return "remove it: the source sends `token` or `basic` only"
    if scheme == "basic":
        return "write `basic: {username: NAME, password: {from_env: NAME}}` in place of it"
    return "write `token: {from_env: NAME}` in place of it; the variable holds what follows `Bearer`"


def _headers(headers: Mapping[str, str], source: PrometheusSource) -> Iterator[Violation]:
    for name, value in headers.items():
        path = ("headers", name)
        if name.lower() in _SECRET:
            yield Violation(
                path, f"`{name}` is a secret, and headers are shown", _as_a_secret(name, value, source), of_key=True
            )
        elif name.lower() in _OURS:
            yield Violation(path, f"`{name}` is reserved", f"remove `{name}: {cut(value, 60)}`", of_key=True)
        elif not _NAME.fullmatch(name):
            yield Violation(path, f"`{name}` is not a valid header name", "letters, digits and `-`", of_key=True)
        elif not _VALUE.fullmatch(value):
            yield Violation(
                path, f"{value!r} is not a valid header value", "printable ASCII without spaces at either end"
            )
