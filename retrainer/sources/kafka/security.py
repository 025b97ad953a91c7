"""Maps security settings to options of KafkaConsumer. Secrets are read when a consumer is created."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retrainer.sources.kafka.oauth import ClientCredentials
from retrainer.sources.tls import ssl_context
from retrainer.telemetry.secrets import reveal

if TYPE_CHECKING:
    from pathlib import Path

    from retrainer.config.models import Sasl, Topics


def security(topics: Topics, base_folder: Path) -> dict[str, Any]:
    """Return options for a consumer. Relative paths are resolved against `base_folder`.

    Raise ValueError or OSError, whose messages name files and references, never secrets.
    """
    tls, sasl = topics.tls, topics.sasl
    options: dict[str, Any] = {"security_protocol": _protocol(encrypted=tls is not None, sasl=sasl)}
    if tls is not None:
        options["ssl_context"] = ssl_context(tls, base_folder)
        options["ssl_check_hostname"] = tls.check_hostname
    if sasl is not None:
        options |= _sasl(sasl)
    return options


def _protocol(*, encrypted: bool, sasl: Sasl | None) -> str:
    if sasl is None:
        return "SSL" if encrypted else "PLAINTEXT"
    if not encrypted and sasl.mechanism == "AWS_MSK_IAM":
        raise ValueError("sasl.mechanism AWS_MSK_IAM needs TLS: add `tls: {}`")
    return "SASL_SSL" if encrypted else "SASL_PLAINTEXT"


def _sasl(sasl: Sasl) -> dict[str, Any]:
    options: dict[str, Any] = {"sasl_mechanism": sasl.mechanism}
    if sasl.mechanism == "OAUTHBEARER":
        if sasl.oauth is None:
            raise ValueError("sasl.mechanism OAUTHBEARER needs `oauth`")
        options["sasl_oauth_token_provider"] = ClientCredentials(sasl.oauth)
    elif sasl.mechanism != "AWS_MSK_IAM":  # MSK finds credentials by itself, through the usual AWS chain
        if sasl.username is None or sasl.password is None:
            raise ValueError(f"sasl.mechanism {sasl.mechanism} needs `username` and `password`")
        options["sasl_plain_username"] = sasl.username
        options["sasl_plain_password"] = reveal(sasl.password)
    return options
