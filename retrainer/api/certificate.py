"""The certificate of the web server: read from files, and read again when they change.

Each change makes new contexts, which only new connections use. So connections are never dropped, and a pair that does
not fit together never replaces one that does: cert-manager's rotation shows both for a moment.
"""

from __future__ import annotations

import hashlib
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from retrainer.config.check_secrets import LARGEST_CERTIFICATES
from retrainer.util.regular_files import UnreadableFileError, read_settled
from retrainer.util.timefmt import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrainer.config.settings import ServerTls

log = structlog.get_logger()
PROBE_NAME = "retrainer"
"""Stands for the `*` of a wildcard: a name that such a certificate is valid for."""


@dataclass(frozen=True, slots=True)
class Contexts:
    """How new connections are encrypted: those that are accepted, and those to the leader."""

    server: ssl.SSLContext
    client: ssl.SSLContext
    leader: str | None
    """Name that the leader's certificate must have."""
    expires: float
    """When the served certificate expires, in epoch seconds."""


class ServedCertificate:
    """``current`` is replaced when the files change. Raise ValueError that names the file if one cannot be used."""

    def __init__(self, tls: ServerTls, expires: Callable[[float], object]) -> None:
        self._tls, self._expires = tls, expires
        self._seen = self._digest()
        self.current = self._load()
        expires(self.current.expires)

    @property
    def demands(self) -> bool:
        """Whether clients must present a certificate, except for probes."""
        return self._tls.client_authorities is not None

    def look(self) -> None:
        """Take over changed files. Files that cannot be used are logged once, and the former certificate is kept."""
        try:
            digest = self._digest()
            if digest == self._seen:
                return
            self._seen = digest
            self.current = self._load()
        except ValueError as error:
            kept_until = rfc3339(self.current.expires)
            log.error("tls.not_reloaded", error=str(error), kept_until=kept_until)  # noqa: TRY400 - it says enough
            return
        self._expires(self.current.expires)
        log.info("tls.reloaded", certificate=self._tls.certificate, expires=rfc3339(self.current.expires))

    def _digest(self) -> bytes:
        """Return a digest of all files; of the error, for one that cannot be read."""
        tls = self._tls
        files = (tls.certificate, tls.key, tls.client_authorities, tls.replica_authorities)
        return hashlib.sha256(b"\0".join(_content(file) for file in files if file is not None)).digest()

    def _load(self) -> Contexts:
        tls = self._tls
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.minimum_version = ssl.TLSVersion.TLSv1_2
        _load_pair(server, tls)
        shown = presented(server)
        if tls.client_authorities is not None:
            server.verify_mode = ssl.CERT_OPTIONAL  # kubelet's probes have none; `without_certificate` refuses the rest
            _trust(server, "client_authorities", tls.client_authorities)
        return Contexts(
            server, _client(tls), tls.replica_name or _first_name(shown), ssl.cert_time_to_seconds(shown["notAfter"])
        )


def _client(tls: ServerTls) -> ssl.SSLContext:
    """The context of a replica that forwards to the leader. By default it trusts what it serves itself."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.minimum_version = ssl.TLSVersion.TLSv1_2
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_default_certs()
    _trust(client, "certificate", tls.certificate)
    if tls.replica_authorities is not None:
        _trust(client, "replica_authorities", tls.replica_authorities)
    if tls.client_authorities is not None:
        _load_pair(client, tls)
    return client


def _load_pair(context: ssl.SSLContext, tls: ServerTls) -> None:
    for name, file in (("certificate", tls.certificate), ("key", tls.key)):
        _readable(name, file)
    try:
        context.load_cert_chain(tls.certificate, tls.key, "")  # without a password OpenSSL would prompt on the terminal
    except (ssl.SSLError, OSError) as error:
        raise ValueError(
            f"http.tls: {tls.certificate} with {tls.key} cannot be used ({_reason(error)}): write a certificate in "
            "PEM, followed by its intermediates, and its key without a password"
        ) from None


def _trust(context: ssl.SSLContext, name: str, file: str) -> None:
    _readable(name, file)
    try:
        context.load_verify_locations(file)
    except (ssl.SSLError, OSError) as error:
        raise ValueError(f"http.tls.{name}: {file} has no certificates in PEM ({_reason(error)})") from None


def _readable(name: str, file: str) -> None:
    try:
        read_settled(file, LARGEST_CERTIFICATES)
    except UnreadableFileError as error:
        raise ValueError(f"http.tls.{name}: {file} cannot be read ({error})") from None


def _content(file: str) -> bytes:
    try:
        return hashlib.sha256(read_settled(file, LARGEST_CERTIFICATES)).digest()
    except UnreadableFileError as error:
        return str(error).encode()


def _reason(error: OSError) -> str:
    return str(getattr(error, "reason", None) or error.strerror or error).replace("_", " ").lower()


def presented(server: ssl.SSLContext) -> dict[str, Any]:
    """Return the certificate that clients get, as `SSLSocket.getpeercert`: by a handshake in memory.

    The standard library reads certificates only this way. Raise ValueError if no client could connect.
    """
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    reader = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    reader.check_hostname, reader.verify_mode = False, ssl.CERT_NONE
    client = reader.wrap_bio(to_client, to_server)
    ours = server.wrap_bio(to_server, to_client, server_side=True)
    for side in (client, ours, client, ours):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLError as error:
            raise ValueError(f"http.tls: the certificate cannot be served ({_reason(error)})") from None
    reader.verify_mode = ssl.CERT_OPTIONAL  # `getpeercert` is empty without
    return dict(client.getpeercert() or {})


def _first_name(certificate: dict[str, Any]) -> str | None:
    """Return the first name that the certificate is valid for; None if it is for addresses only."""
    names = (name for kind, name in certificate.get("subjectAltName", ()) if kind == "DNS")
    return next((str(name).replace("*", PROBE_NAME) for name in names), None)
