"""Check that the secrets and certificates that a configuration names exist, and that no URL contains a secret."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from retrainer.config.models import FromEnv, FromFile, Model, Tls
from retrainer.config.secrets import MissingSecretError, resolve
from retrainer.config.violation import Violation, violation_of
from retrainer.util.regular_files import UnreadableFileError, check_regular

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retrainer.config.tree import Path

LARGEST_CERTIFICATES = 4 * 2**20
"""Maximum bytes of a PEM file: all authorities of a system are a quarter of a megabyte."""


_SET = "set it where retrainer runs; here set it too, or validate with --ignore-environment"
MOUNT = "mount it where retrainer runs; here create it, or validate with --ignore-environment"
AWS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the pod a role"
_TELLING = re.compile(r"passw(or)?d|secret|token|api[-_]?key|signature|^sig$", re.IGNORECASE)


def check_secrets(path: Path, part: object) -> Iterator[Violation]:
    """Check that each secret and each certificate in a part of a configuration exists and can be read."""
    if isinstance(part, Tls):
        yield from _certificates(path, part)
    if isinstance(part, FromEnv | FromFile):
        try:
            resolve(part)
        except MissingSecretError as error:
            yield _absent(violation_of(path, error), part)
    elif isinstance(part, Model | list):
        for step, inner in part if isinstance(part, Model) else enumerate(part):
            yield from check_secrets((*path, step), inner)


def _absent(found: Violation, secret: FromEnv | FromFile) -> Violation:
    """A secret that is not here: it may be where retrainer runs."""
    hint = _SET if isinstance(secret, FromEnv) else MOUNT if "cannot be read" in found.message else found.hint
    message = found.message.replace("cannot be read", "cannot be read on this machine")
    return found._replace(message=message, hint=hint, kind="environment")


def _certificates(path: Path, tls: Tls) -> Iterator[Violation]:
    for name, file in (("ca_file", tls.ca_file), ("cert_file", tls.cert_file), ("key_file", tls.key_file)):
        if file is not None:
            yield from check_file((*path, name), file)
    if tls.key_file is not None and tls.cert_file is None:
        yield Violation((*path, "key_file"), "a key without its certificate", "add `cert_file`", of_key=True)


def check_url(path: Path, url: str | None, instead: str) -> Iterator[Violation]:
    """Check that a URL contains no credentials; ``instead`` is the hint. The message does not repeat the URL."""
    try:
        parts = urlsplit(url or "")
        asked = [name for name, _ in parse_qsl(parts.query)]
        told = parts.username is not None or parts.password is not None or any(map(_TELLING.search, asked))
    except ValueError:
        yield Violation(path, "this cannot be read as a URL", "write such as https://host.example.org:8443/path")
        return
    if told:
        yield Violation(path, "a URL is shown in errors and lists, and this one holds credentials", instead)


def check_file(path: Path, file: str) -> Iterator[Violation]:
    try:
        check_regular(file, LARGEST_CERTIFICATES)
    except UnreadableFileError as error:
        yield Violation(path, f"{file} cannot be read on this machine ({error})", MOUNT, None, "environment")
