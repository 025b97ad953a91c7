"""Sources, calendars and pools: what their models cannot say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrainer.config.check_expressions import check_cel
from retrainer.config.finding import Finding
from retrainer.config.models import Calendar, DirectorySource, FromEnv, FromFile, WebhookSource
from retrainer.config.secrets import MissingSecretError, resolve
from retrainer.rules.calendars import Period
from retrainer.rules.zones import zone_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from retrainer.config.models import Source
    from retrainer.config.tree import Path


def check_source(source: Source) -> Iterator[Finding]:
    if isinstance(source, WebhookSource):
        yield from _webhook(source)
    if isinstance(source, DirectorySource) and source.polling_interval <= 0:
        yield Finding(("polling_interval",), "the folder cannot be listed without a pause", "write 1s or more")


def check_paths(sources: Mapping[str, Source]) -> Iterator[tuple[str, Finding]]:
    """Two webhooks cannot listen on one path. Yield the name of the second with the finding."""
    first: dict[str, str] = {}
    for name, source in sources.items():
        if isinstance(source, WebhookSource):
            other = first.setdefault(source.path.rstrip("/"), name)
            if other != name:
                yield (
                    name,
                    Finding(
                        ("path",),
                        f"the webhook `{other}` listens on {source.path} already",
                        "give each a path of its own",
                    ),
                )


def check_calendar(calendar: Calendar) -> Iterator[Finding]:
    """Each date and time by itself, so that each is found at its place."""
    yield from check_zone(("timezone",), calendar.timezone)
    parts = [(("dates", i), Calendar(dates=[text])) for i, text in enumerate(calendar.dates)]
    parts += [(("times", i), Calendar(times=[text])) for i, text in enumerate(calendar.times)]
    whole = [((), calendar.model_copy(update={"timezone": "UTC"}))] if not parts else []
    for path, part in parts + whole:
        try:
            Period(part)
        except ValueError as error:
            yield said(path, error)


def check_secrets(path: Path, given: FromEnv | FromFile | list[FromEnv | FromFile] | None) -> Iterator[Finding]:
    """A secret, or each of several, is there and can be read."""
    many = isinstance(given, list)
    for i, secret in enumerate(given if isinstance(given, list) else [given] if given else []):
        try:
            resolve(secret)
        except MissingSecretError as error:
            yield said((*path, i) if many else path, error)._replace(kind="environment")


def check_zone(path: Path, name: str) -> Iterator[Finding]:
    try:
        zone_of(name)
    except ValueError as error:
        yield said(path, error)


def said(path: Path, error: ValueError) -> Finding:
    """Cut `what is wrong: the way out` in two."""
    what, _, way_out = str(error).rpartition(": ")
    return Finding(path, what or way_out, way_out if what else "")


def _webhook(source: WebhookSource) -> Iterator[Finding]:
    yield from check_secrets(("hmac",), source.hmac)
    yield from check_secrets(("token",), source.token)
    for name, text, scope in (("id", source.id, {"data", "headers"}), ("time", source.time, {"data"})):
        if text is None:
            continue
        yield from check_cel((name,), text, frozenset(scope))
        if source.format != "json":
            yield Finding(
                (name,),
                f"`{name}` is for `format: json`; {source.format} events carry their own",
                "take the line out",
                of_key=True,
            )
