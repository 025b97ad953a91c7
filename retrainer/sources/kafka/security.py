"""How we reach brokers: settings become what KafkaConsumer takes. Secrets are asked for when a consumer is made."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from retrainer.sources.kafka.oauth import ClientCredentials
from retrainer.telemetry.secrets import reveal

if TYPE_CHECKING:
    from pathlib import Path

    from retrainer.config.models import Sasl, Tls, Topics


def security(topics: Topics, base_folder: Path) -> dict[str, Any]:
    """Return the options of a consumer; relative paths are seen from `base_folder`.

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


def ssl_context(tls: Tls, base_folder: Path) -> ssl.SSLContext:
    """Make the context; raise ValueError with the file that cannot be used."""
    context = ssl.create_default_context()
    context.check_hostname = tls.check_hostname
    if tls.ca_file is not None:
        ca_file = base_folder / tls.ca_file
        context = ssl.create_default_context(cafile=_readable("tls.ca_file", ca_file))
        context.check_hostname = tls.check_hostname
    if tls.cert_file is not None:
        _show(context, tls, base_folder)
    return context


def _show(context: ssl.SSLContext, tls: Tls, base_folder: Path) -> None:
    """Show our own certificate to servers that ask for one."""
    cert_file = _readable("tls.cert_file", base_folder / str(tls.cert_file))
    key_file = _readable("tls.key_file", base_folder / tls.key_file) if tls.key_file is not None else None
    # Without a password OpenSSL would ask the terminal for one.
    password = reveal(tls.key_password) if tls.key_password is not None else ""
    try:
        context.load_cert_chain(cert_file, key_file, password)
    except ssl.SSLError as error:
        raise ValueError(f"{cert_file} with {key_file or 'no key file'} cannot be used: {error.reason}") from None


def _readable(setting: str, path: Path) -> str:
    try:
        path.read_bytes()
    except OSError as error:
        raise ValueError(f"{setting} {path} cannot be read: {error.strerror}") from None
    return str(path)


def _sasl(sasl: Sasl) -> dict[str, Any]:
    options: dict[str, Any] = {"sasl_mechanism": sasl.mechanism}
    if sasl.mechanism == "OAUTHBEARER":
        if sasl.oauth is None:
            raise ValueError("sasl.mechanism OAUTHBEARER needs `oauth`")
        options["sasl_oauth_token_provider"] = ClientCredentials(sasl.oauth)
    elif sasl.mechanism != "AWS_MSK_IAM":  # which looks for credentials by itself, by the usual AWS chain
        if sasl.username is None or sasl.password is None:
            raise ValueError(f"sasl.mechanism {sasl.mechanism} needs `username` and `password`")
        options["sasl_plain_username"] = sasl.username
        options["sasl_plain_password"] = reveal(sasl.password)
    return options
