"""PURE: check who may use the API: its tokens, with their namespaces and verbs."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING

from retrainer.config.errors import did_you_mean
from retrainer.config.settings import ArgoEngine
from retrainer.config.violation import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retrainer.config.settings import ApiToken, Settings

RESERVED = ("anonymous", "files")
"""Callers without a token, and edits of rule files."""


def check_access(settings: Settings) -> Iterator[Violation]:
    """Yield what is wrong with the tokens, and with an API that is open to the network."""
    http = settings.http
    if http.token is None and not http.tokens:
        if http.read_token is not None:
            yield Violation(
                ("http", "read_token"),
                "a read-only token has no effect without `token`: the API is open to all",
                "add `token: {from_env: NAME}` to `http`, or remove `read_token`",
                of_key=True,
            )
        if not _loopback(http.host):
            yield Violation(
                ("http", "host"),
                f"the API would be open to everyone who can reach {http.host}",
                "add `token: {from_env: NAME}` to `http`, or listen on 127.0.0.1",
            )
    namespaces = settings.engine.namespaces if isinstance(settings.engine, ArgoEngine) else None
    names: set[str] = set()
    for i, token in enumerate(http.tokens):
        if token.name in names:
            yield Violation(
                ("http", "tokens", i, "name"), f"another token is named `{token.name}`", "give each its own name"
            )
        names.add(token.name)
        if token.name in RESERVED:
            yield Violation(
                ("http", "tokens", i, "name"),
                f"`{token.name}` stands for something else in the list of activity",
                "give it the name of its holder",
            )
        yield from _check_token(i, token, namespaces)


def _check_token(i: int, token: ApiToken, known: list[str] | None) -> Iterator[Violation]:
    if token.namespaces == "all":
        return
    if not token.namespaces:
        yield Violation(
            ("http", "tokens", i, "namespaces"), "a token without a namespace has no use", "name one, or write `all`"
        )
    for n, namespace in enumerate(token.namespaces):
        if known is not None and namespace not in known:
            yield Violation(
                ("http", "tokens", i, "namespaces", n),
                f"`{namespace}` is not among the engine's namespaces, so no rule runs there",
                did_you_mean(namespace, known) or "add it to `engine.namespaces`",
            )
    for user, verbs in token.users.items():
        if "administer" in verbs:
            yield Violation(
                ("http", "tokens", i, "users", user, verbs.index("administer")),
                "`administer` concerns the rules of all namespaces",
                "remove it, or write `namespaces: all` for the token",
            )
    if "administer" in token.verbs:
        other = "remove it" if len(token.verbs) > 1 else "write `read` or `act` in place of it"
        yield Violation(
            ("http", "tokens", i, "verbs", token.verbs.index("administer")),
            "`administer` concerns the rules of all namespaces",
            f"{other}, or write `namespaces: all` for the token",
        )


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
