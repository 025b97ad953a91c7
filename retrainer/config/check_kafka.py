"""Checks of Kafka sources, shared in part with other sources, that the models cannot express."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from retrainer.config.check_secrets import check_url
from retrainer.config.models import StartAt
from retrainer.config.violation import Violation, exactly_one
from retrainer.rules.cel.pattern import compiled
from retrainer.util.timefmt import epoch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retrainer.config.models import KafkaSource, Sasl, SchemaRegistry, Topics
    from retrainer.config.tree import Path

_SERVER = re.compile(r"\[[0-9A-Fa-f:.]+\]:\d{1,5}|[^:\s]+:\d{1,5}")

_TOPICS = "add `topics: [NAME]` or `topic_pattern: 'orders-.*'`"
_SAMPLES = {"username": "NAME", "password": "{from_env: NAME}"}
_OAUTH = "add `oauth: {token_endpoint: https://…, client_id: NAME, client_secret: {from_env: NAME}}` to `sasl`"


def check_topics(path: Path, topics: Topics) -> Iterator[Violation]:
    """Check brokers, topics, start and SASL."""
    for i, server in enumerate(topics.bootstrap_servers):
        if not _SERVER.fullmatch(server):
            yield Violation(
                (*path, "bootstrap_servers", i), f"{server!r} is not host:port", "write such as `kafka:9092`"
            )
    yield from exactly_one(path, topics, ("topics", "topic_pattern"), missing=_TOPICS)
    if topics.topic_pattern is not None:
        yield from _pattern((*path, "topic_pattern"), topics.topic_pattern)
    if isinstance(topics.start, StartAt):
        yield from _moment((*path, "start", "timestamp"), topics.start.timestamp)
    if topics.sasl is not None:
        yield from _sasl((*path, "sasl"), topics.sasl, encrypted=topics.tls is not None)


def check_registry(source: KafkaSource) -> Iterator[Violation]:
    """Check that `schema_registry` and `format: avro` are used together."""
    registry = source.schema_registry
    if source.format == "avro" and registry is None:
        yield Violation(
            ("format",),
            "`avro` needs a registry for its schemas",
            'add `schema_registry: {url: "http://registry:8081"}`',
        )
    if registry is None:
        return
    if source.format != "avro":
        yield Violation(
            ("schema_registry",),
            f"`{source.format}` records have no schema",
            "remove it, or write `format: avro`",
            of_key=True,
        )
    yield from _registry(("schema_registry",), registry)


def _registry(path: Path, registry: SchemaRegistry) -> Iterator[Violation]:
    if (registry.username is None) != (registry.password is None):
        yield Violation(path, "`username` and `password` go together", "add the other, or remove both")
    if registry.username is not None and registry.token is not None:
        yield Violation((*path, "token"), "a password and a token exclude each other", "keep one", of_key=True)
    yield from check_url((*path, "url"), registry.url, "use `username` and `password`, or `token`")


def _pattern(path: Path, pattern: str) -> Iterator[Violation]:
    try:
        compiled(f"^(?:{pattern})$")
    except ValueError as error:
        what, _, way_out = str(error).partition(": ")
        yield Violation(path, f"not a regular expression: {what}", way_out or "write one, such as orders-.*")


def _moment(path: Path, text: str) -> Iterator[Violation]:
    try:
        epoch(text)
    except ValueError as error:
        yield Violation(path, f"{text!r} is not a time: {error}", "write such as 2026-11-24T08:00:00Z")


def _sasl(path: Path, sasl: Sasl, *, encrypted: bool) -> Iterator[Violation]:
    by_password = sasl.mechanism == "PLAIN" or sasl.mechanism.startswith("SCRAM")
    for name in ("username", "password"):
        if by_password and getattr(sasl, name) is None:
            yield Violation(path, f"{sasl.mechanism} needs a {name}", f"add `{name}: {_SAMPLES[name]}` to `sasl`")
        elif not by_password and getattr(sasl, name) is not None:
            yield Violation((*path, name), f"{sasl.mechanism} takes no {name}", "remove the line", of_key=True)
    if (sasl.mechanism == "OAUTHBEARER") != (sasl.oauth is not None):
        what, hint = ("needs a token endpoint", _OAUTH) if sasl.oauth is None else ("uses no tokens", "remove `oauth`")
        yield Violation(path, f"{sasl.mechanism} {what}", hint)
    if sasl.mechanism == "AWS_MSK_IAM" and not encrypted:
        yield Violation((*path, "mechanism"), "AWS_MSK_IAM needs TLS", "add `tls: {}` to the source, beside `sasl`")
    if sasl.oauth is not None:
        instead = "use `client_id` and `client_secret`"
        yield from check_url((*path, "oauth", "token_endpoint"), sasl.oauth.token_endpoint, instead)
