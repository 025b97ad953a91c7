"""Find sources that accept the same signature, if it covers only the body."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrainer.config.models import AlertmanagerSource, S3Source, WebhookSource

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from retrainer.config.models import Listener, Secret, Source

WAY_OUT = "give each source its own secret, or set `signatures: [v2, v1]` on those whose senders sign so"


def listeners(sources: Mapping[str, Source]) -> dict[str, Listener]:
    """Return the listeners by name of their source."""
    found = {
        name: source.via.webhook if isinstance(source, S3Source) else source
        for name, source in sources.items()
        if isinstance(source, WebhookSource | AlertmanagerSource | S3Source)
    }
    return {name: listener for name, listener in found.items() if listener is not None}


def shared_secrets(listening: Mapping[str, Listener]) -> Iterator[tuple[str, str]]:
    """Yield a source and an earlier one that both accept the scheme `hub` with the same secret.

    A sender such as GitHub signs the same body for both, and the signature is bound to the source that receives it
    first.
    """
    first: dict[Secret, str] = {}
    for name, listener in listening.items():
        if listener.hmac is None or "hub" not in listener.signatures:
            continue
        given = listener.hmac if isinstance(listener.hmac, list) else [listener.hmac]
        others = [first.setdefault(secret, name) for secret in given]
        if other := next((other for other in others if other != name), None):
            yield name, other
