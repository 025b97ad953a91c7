"""PURE: proof that the sender of a request has a secret. All comparisons take constant time.

Version 2 signs the whole request: path, time, body, and the headers that affect the body's meaning. What it does not
sign is ignored. Version 1 signs time and body only, GitHub's scheme the body only.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from retrainer.rules.self_trigger import HEADER

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

TIMESTAMPED = "x-retrainer-signature"
PLAIN = "x-hub-signature-256"
_TIMESTAMP = re.compile(r"\d{1,12}(\.\d{1,6})?", re.ASCII)
_ALWAYS = frozenset({"content-type", "content-encoding", "idempotency-key", HEADER})
_ATTRIBUTES = "ce-"
_BLANKS = " \t"
"""Whitespace that HTTP allows around a value; `str.strip()` also removes bytes of letters, such as of "à" in UTF-8."""
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+", re.ASCII)
"""A header name by RFC 9110, in lower case. It cannot contain the separators `:` and `=`."""
MOST_NAMED = 32
"""Additional headers that a sender may name."""


class Unproven(Exception):
    """The request carries no valid proof. The message says what is missing, never what would have been right."""


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """``headers`` have lower-case names. ``path`` is the source's, without a trailing slash."""

    headers: Mapping[str, str]
    body: bytes
    path: str = ""


@dataclass(frozen=True, slots=True)
class SignatureTerms:
    """``now`` and ``tolerance`` are in seconds; ``schemes`` are the accepted ones of `v2`, `v1` and `hub`."""

    now: float
    tolerance: float
    schemes: Collection[str] = ("v2", "v1", "hub")


@dataclass(frozen=True, slots=True)
class Signed:
    """``identity`` distinguishes a replay from a new request; None if the scheme cannot.

    ``mac``: the matching signature. ``covered``: the headers it covers, None for a scheme that covers none.
    """

    scheme: str
    identity: str | None
    mac: str
    covered: frozenset[str] | None = None


def check_token(headers: Mapping[str, str], secrets: Iterable[str]) -> None:
    """Check `Authorization: Bearer …`, or the password of `Basic`, against all secrets. Raise Unproven.

    Basic is for senders that cannot set headers: it comes from the URL that they were given.
    """
    scheme, _, given = headers.get("authorization", "").partition(" ")
    token = _password(given.strip()) if scheme.lower() == "basic" else given.strip()
    if scheme.lower() not in ("bearer", "basic"):
        raise Unproven("a token is needed: Authorization: Bearer …, or as the password of Basic")
    if not _any_equal([token], secrets):
        raise Unproven("the token is not valid")


def _password(credentials: str) -> str:
    """Return the password of Basic credentials (RFC 7617); empty, which proves nothing, if they are invalid."""
    try:
        return base64.b64decode(credentials, validate=True).decode().partition(":")[2]
    except ValueError:
        return ""


def check_signature(sent: SignedRequest, secrets: Iterable[str], terms: SignatureTerms) -> Signed:
    """Check the HMAC-SHA256 by the best scheme that was sent. Raise Unproven."""
    if TIMESTAMPED in sent.headers:
        return _check_timestamped(sent, secrets, terms)
    if PLAIN not in sent.headers or "hub" not in terms.schemes:
        raise Unproven(f"a signature is needed: {_wanted(terms.schemes)}")
    mac = sent.headers[PLAIN].strip().removeprefix("sha256=")
    if not _any_equal([mac], _macs(secrets, sent.body)):
        raise Unproven("the signature does not match the body")
    return Signed("hub", None, mac)


def _wanted(schemes: Collection[str]) -> str:
    stamped = [scheme for scheme in ("v2", "v1") if scheme in schemes]
    forms = [f"{TIMESTAMPED}: t=<seconds>,{stamped[0]}=<hex>"] if stamped else []
    return ", or ".join(forms + ([f"{PLAIN}: sha256=<hex>"] if "hub" in schemes else []))


def _check_timestamped(sent: SignedRequest, secrets: Iterable[str], terms: SignatureTerms) -> Signed:
    pairs = [
        (name.strip(), value) for name, _, value in (p.partition("=") for p in sent.headers[TIMESTAMPED].split(","))
    ]
    timestamp = next((value for name, value in pairs if name == "t"), "")
    if not _TIMESTAMP.fullmatch(timestamp):
        raise Unproven("the signature has no timestamp: t=<seconds since the epoch>")
    named = next((value.strip(_BLANKS) for name, value in pairs if name == "h"), "")
    offered = {name for name, _ in pairs}
    scheme = next((s for s in ("v2", "v1") if s in terms.schemes and s in offered), "")
    if not scheme and not offered & {"v1", "v2"}:
        raise Unproven("the signature does not match: it has neither v2=<hex> nor v1=<hex>")
    if not scheme:
        raise Unproven(f"this source does not accept that scheme (signatures); send {_wanted(terms.schemes)}")
    covered = _covered(sent.headers, named) if scheme == "v2" else None
    text = timestamp.encode() + b"." + sent.body if covered is None else _text(sent, timestamp, named, covered)
    macs = [value.strip() for name, value in pairs if name == scheme]
    if not _any_equal(macs, _macs(secrets, text)):
        raise Unproven("the signature does not match " + _SIGNED_BY[scheme])
    if abs(terms.now - float(timestamp)) > terms.tolerance:
        raise Unproven(f"the signature's timestamp is more than {terms.tolerance:g} s from now (timestamp_tolerance)")
    return Signed(scheme, "signed:" + hashlib.sha256(text).hexdigest(), hashlib.sha256(text).hexdigest(), covered)


_SIGNED_BY = {
    "v1": "timestamp and body",
    "v2": f"timestamp, path, headers ({', '.join(sorted(_ALWAYS))} and all {_ATTRIBUTES}*) and body",
}


def _covered(headers: Mapping[str, str], named: str) -> frozenset[str]:
    extra = [name.strip(_BLANKS).lower() for name in named.split(";")] if named else []
    if len(extra) > MOST_NAMED:
        raise Unproven(f"the signature names {len(extra)} headers (h); at most {MOST_NAMED} are allowed")
    if not all(map(_TOKEN.fullmatch, extra)):
        raise Unproven("the signature names an invalid header (h); write h=x-tenant;x-region")
    # An absent header would be signed as if it were present and empty.
    if missing := [name for name in extra if name not in headers]:
        raise Unproven(f"the signature names {missing[0][:64]} (h), which the request does not have")
    always = (name for name in headers if name in _ALWAYS or name.startswith(_ATTRIBUTES))
    return frozenset((*always, *extra))


def _text(sent: SignedRequest, timestamp: str, named: str, covered: Iterable[str]) -> bytes:
    """One line each for version, time, path, names (if any), and header; an empty line; the body.

    Header values contain no line break. Their bytes are as sent: servers decode them as Latin-1 by definition.
    """
    names = [f"h={named}"] if named else []
    headers = [f"{name}:{sent.headers[name].strip(_BLANKS)}" for name in sorted(covered)]
    head = "\n".join(["v2", timestamp, sent.path, *names, ""]).encode("utf-8", "surrogateescape")
    return head + "\n".join([*headers, "", ""]).encode("latin-1") + sent.body


def sign(secret: str, message: bytes) -> str:
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()


def _macs(secrets: Iterable[str], message: bytes) -> list[str]:
    """Empty secrets are skipped: anyone can sign with one, so it proves nothing."""
    return [sign(secret, message) for secret in secrets if secret]


def _any_equal(sent: Iterable[str], expected: Iterable[str]) -> bool:
    """Compare every pair, so that the time taken does not show which one was closest."""
    wanted = [value.encode() for value in expected if value]
    # A list, not a generator: a generator would stop at the first match.
    return any([hmac.compare_digest(s.encode(), w) for s in sent for w in wanted])  # noqa: C419
