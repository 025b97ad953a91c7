"""Remove secrets from values that leave the machine, such as configuration in a support bundle.

Stricter than the masking of log lines: what looks like a credential is removed, whether or not its value is known.
Too much is removed rather than too little.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from retrainer.telemetry.secrets import MASK

if TYPE_CHECKING:
    from retrainer.telemetry.secrets import Secrets

_WORDS: Final = (
    r"passw(?:or)?d|passwd|pwd|passphrase|secret|token|api[-_ ]?key|access[-_ ]?key|credential|private[-_ ]?key"
)
_TELLING_NAME: Final = re.compile(rf"{_WORDS}|authorization|cookie|signature|hmac|^sig$|^auth$", re.IGNORECASE)
_REFERENCE: Final = {"from_env": re.compile(r"[A-Z][A-Z0-9_]*"), "from_file": re.compile(r"\.{0,2}/[\w./-]+")}
"""How references are usually written. Anything else in their place may be the secret itself."""
_VALUES: Final = ("value", "default")
_TELLING_TEXT: Final = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), MASK),
    (re.compile(r"://[^\s\"'<>]*@"), f"://{MASK}@"),
    (
        re.compile(rf"([?&][^=&\s\"']*(?:{_WORDS}|signature|sig|key)[^=&\s\"']*=)[^&\s\"']+", re.IGNORECASE),
        rf"\1{MASK}",
    ),
    (re.compile(r"\b(?:bearer|basic)\s+(?!…)[^\s\"',;]+", re.IGNORECASE), MASK),
    (re.compile(rf"((?:{_WORDS})\w*['\"]?\s*[:=]\s*)['\"]?[^\s'\",;]+", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(rf"(--?[\w-]*(?:{_WORDS})[\w-]*\s+)['\"]?[^\s'\",;]+", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*"), MASK),
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\b(?:gh[pousr]|github_pat|glpat|xox[a-z])[-_][\w-]{10,}"), MASK),
)


def redact(value: Any, secrets: Secrets) -> Any:
    """Return a value of JSON without secrets. Names of environment variables and files with secrets are kept.

    Removed are known values, the content of fields whose names tell of secrets, and text that looks like a credential.
    """
    return _redact(value, secrets, telling=False)


def redact_text(text: str, secrets: Secrets) -> str:
    """Return text without known values of secrets and without what looks like a credential."""
    text = secrets.mask(text)
    for telling, masked in _TELLING_TEXT:
        text = telling.sub(masked, text)
    return text


def _redact(value: Any, secrets: Secrets, *, telling: bool) -> Any:
    if isinstance(value, Mapping):
        named = str(value.get("name", ""))  # as in {name: PASSWORD, value: …}
        return {
            redact_text(str(key), secrets): _entry(str(key), inner, secrets, telling=telling or _tells(key, named))
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [_redact(inner, secrets, telling=telling) for inner in value]
    if value is None or isinstance(value, bool):
        return value
    if telling:
        return MASK
    if isinstance(value, str):
        return redact_text(value, secrets)
    return MASK if secrets.mask(str(value)) != str(value) else value


def _tells(key: object, named: str) -> bool:
    return _TELLING_NAME.search(str(key)) is not None or (key in _VALUES and _TELLING_NAME.search(named) is not None)


def _entry(key: str, value: Any, secrets: Secrets, *, telling: bool) -> Any:
    if key in _REFERENCE and isinstance(value, str) and _REFERENCE[key].fullmatch(value):
        return secrets.mask(value)
    return _redact(value, secrets, telling=telling)
