"""Creates an SSL context from TLS settings, for all clients of sources."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from retrainer.config.check_secrets import LARGEST_CERTIFICATES
from retrainer.telemetry.secrets import reveal
from retrainer.util.regular_files import UnreadableFileError, check_regular

if TYPE_CHECKING:
    from pathlib import Path

    from retrainer.config.models import Tls


def ssl_context(tls: Tls, base_folder: Path) -> ssl.SSLContext:
    """Return the context. Relative paths are resolved against `base_folder`.

    Raise ValueError that names the file if one cannot be used.
    """
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
    """Load the client certificate, for servers that request one."""
    cert_file = _readable("tls.cert_file", base_folder / str(tls.cert_file))
    key_file = _readable("tls.key_file", base_folder / tls.key_file) if tls.key_file is not None else None
    # Without a password OpenSSL would prompt on the terminal.
    password = reveal(tls.key_password) if tls.key_password is not None else ""
    try:
        context.load_cert_chain(cert_file, key_file, password)
    except ssl.SSLError as error:
        raise ValueError(f"{cert_file} with {key_file or 'no key file'} cannot be used: {error.reason}") from None


def _readable(setting: str, path: Path) -> str:
    try:
        check_regular(str(path), LARGEST_CERTIFICATES)
    except UnreadableFileError as error:
        raise ValueError(f"{setting} {path} cannot be read: {error}") from None
    return str(path)
