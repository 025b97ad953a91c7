"""Keeps secrets out of log lines: masks registered values, and text in places where secrets usually are."""

from __future__ import annotations

import base64
import html
import json
import re
from collections import OrderedDict
from collections.abc import Mapping
from math import isfinite
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

import structlog

from retrainer.config.secrets import resolve, tell

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from retrainer.config.models import FromEnv, FromFile

log = structlog.get_logger()
MASK = "***"
SHORTEST = 4
"""Minimum characters of a masked value. Shorter values occur in many words: masking would reveal where."""
LINE = 8
"""Minimum characters for masking a single line of a multi-line secret, and for masking base64."""
MOST_PASSING = 16
DEEPEST = 16

_PERCENT = re.compile("%[0-9A-F]{2}")
_TELLING_KEY = re.compile(r"authorization|cookie|passw(or)?d|secret|token|api[-_]?key|signature|hmac", re.IGNORECASE)
_TELLING_TEXT = (
    (
        re.compile(
            r"\b((?:proxy-)?authorization['\"]?\s*[:=]\s*['\"]?(?:(?:bearer|basic)\s+)?)(?!(?:(?:bearer|basic)\s+)?…)[^\s'\",;]+",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"\b((?:bearer|basic)\s+)[A-Za-z0-9._~+/-]{8,}=*", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"(://)[^/\s:@]*:[^/\s@]+@"), rf"\1{MASK}@"),
)


class Secrets:
    """Values that must not be shown. One instance per process; thread-safe."""

    def __init__(self) -> None:
        self._values: dict[str, set[str]] = {}
        self._passing: OrderedDict[str, set[str]] = OrderedDict()
        self._forms: tuple[str, ...] = ()
        self._lock = Lock()

    def hide(self, value: str) -> None:
        """Mask this value from now on, also in its JSON, URL, HTML and base64 forms; of a multi-line value, each line.

        A value of less than `SHORTEST` characters is not masked.
        """
        self._keep(value, self._values)

    def hide_passing(self, value: str) -> None:
        """Do the same for a value that is replaced regularly, such as an access token; only the last ones are kept."""
        self._keep(value, self._passing)

    def _keep(self, value: str, kept: dict[str, set[str]]) -> None:
        if len(value) < SHORTEST or value in kept:
            return
        with self._lock:
            kept[value] = _all_forms(value)
            while len(self._passing) > MOST_PASSING:
                self._passing.popitem(last=False)
            forms = set().union(*self._values.values(), *self._passing.values())
            self._forms = tuple(sorted(forms, key=len, reverse=True))

    def mask(self, text: str) -> str:
        """Mask secrets in text. Call it where external text comes in, before the text is shortened."""
        for form in self._forms:
            if form in text:
                text = text.replace(form, MASK)
        for telling, masked in _TELLING_TEXT:
            text = telling.sub(masked, text)
        return text

    def mask_bytes(self, body: bytes) -> bytes:
        """Mask registered values in the response of a server, whatever its format; text patterns are not applied."""
        for form in self._forms:
            encoded = form.encode("utf-8", "surrogatepass")
            if encoded in body:
                body = body.replace(encoded, MASK.encode())
        return body

    def processor(self, _logger: Any, _method: str, event_dict: MutableMapping[str, Any]) -> dict[str, Any]:
        """Mask a whole log line. Objects become text here, so that no renderer brings a secret back."""
        return {
            name: value if name.startswith("_") else self._clean(name, value, 0) for name, value in event_dict.items()
        }

    def _clean(self, name: str, value: Any, depth: int) -> Any:
        if value is None or isinstance(value, bool | int):
            return value
        if isinstance(value, float):
            return value if isfinite(value) else str(value)  # JSON does not support these
        if name and _TELLING_KEY.search(name):
            return MASK
        if isinstance(value, str):
            return self.mask(value)
        if depth < DEEPEST and isinstance(value, Mapping):
            return {self.mask(str(key)): self._clean(str(key), inner, depth + 1) for key, inner in value.items()}
        if depth < DEEPEST and isinstance(value, list | tuple | set | frozenset):
            return [self._clean("", inner, depth + 1) for inner in value]
        return self.mask(str(value) if isinstance(value, BaseException) else repr(value))


def _all_forms(value: str) -> set[str]:
    lines = {line.strip() for line in value.splitlines() if len(line.strip()) >= LINE}
    return {form for part in {value, *lines} for form in _forms(part)}


def _forms(value: str) -> set[str]:
    """All forms in which a secret may occur."""
    quoted = {quote(value, safe=""), quote_plus(value), quote(value)}
    forms = {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], repr(value)[1:-1]}
    forms |= quoted | {_PERCENT.sub(lambda found: found[0].lower(), text) for text in quoted}
    forms |= {html.escape(value), html.escape(value, quote=False)}
    if len(value) >= LINE:
        forms |= {form for text in _base64(value.encode("utf-8", "surrogatepass")) for form in (text, _url_safe(text))}
    return {form for form in forms if len(form) >= SHORTEST}


def _base64(raw: bytes) -> set[str]:
    """The parts of its base64 that are independent of the text before it, such as `user:`, for all three alignments."""
    found = set()
    for before in range(3):
        whole = base64.b64encode(b"\0" * before + raw).decode().rstrip("=")
        end = len(whole) - (1 if (before + len(raw)) % 3 else 0)
        found.add(whole[(0, 2, 3)[before] : end])
    return found


def _url_safe(text: str) -> str:
    return text.replace("+", "-").replace("/", "_")


SECRETS = Secrets()
hide = SECRETS.hide
tell(hide)
_SHORT_TOLD: set[str] = set()


def reveal(secret: FromEnv | FromFile) -> str:
    """Resolve a reference to a secret, and mask its value in logs from now on. Raise MissingSecretError."""
    value = resolve(secret)
    if len(value) < SHORTEST and str(secret) not in _SHORT_TOLD:
        _SHORT_TOLD.add(str(secret))
        log.warning("secret.too_short_to_mask", reference=str(secret), shortest=SHORTEST)
    return value
