"""Keeps secrets out of log lines: values that were registered, and what stands where secrets usually stand."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from math import isfinite
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

from retrainer.config.secrets import resolve

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from retrainer.config.models import FromEnv, FromFile

MASK = "***"
SHORTEST = 4
"""Characters. Anything shorter is in half of all words: masking it would only show where it occurs."""
DEEPEST = 16

_TELLING_KEY = re.compile(r"authorization|cookie|passw(or)?d|secret|token|api[-_]?key|signature|hmac", re.IGNORECASE)
_TELLING_TEXT = (
    (
        re.compile(
            r"\b((?:proxy-)?authorization['\"]?\s*[:=]\s*['\"]?(?:(?:bearer|basic)\s+)?)[^\s'\",;]+", re.IGNORECASE
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"\b((?:bearer|basic)\s+)[A-Za-z0-9._~+/-]{8,}=*", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"(://)[^/\s:@]*:[^/\s@]+@"), rf"\1{MASK}@"),
)


class Secrets:
    """Values that must never be seen. One for the process; safe from several threads."""

    def __init__(self) -> None:
        self._forms: set[str] = set()
        self._pattern: re.Pattern[str] | None = None
        self._lock = Lock()

    def hide(self, value: str) -> None:
        """Mask this value from now on, as it is and as JSON or a URL would write it."""
        if len(value) < SHORTEST or value in self._forms:
            return
        with self._lock:
            self._forms |= {value, json.dumps(value)[1:-1], repr(value)[1:-1], quote(value, safe=""), quote_plus(value)}
            longest_first = sorted(self._forms, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first)))

    def mask(self, text: str) -> str:
        pattern = self._pattern
        if pattern is not None:
            text = pattern.sub(MASK, text)
        for telling, masked in _TELLING_TEXT:
            text = telling.sub(masked, text)
        return text

    def processor(self, _logger: Any, _method: str, event_dict: MutableMapping[str, Any]) -> dict[str, Any]:
        """Mask a whole log line. Objects become their text here, so that no renderer brings a secret back."""
        return {
            name: value if name.startswith("_") else self._clean(name, value, 0) for name, value in event_dict.items()
        }

    def _clean(self, name: str, value: Any, depth: int) -> Any:
        if value is None or isinstance(value, bool | int):
            return value
        if isinstance(value, float):
            return value if isfinite(value) else str(value)  # JSON has no word for these
        if name and _TELLING_KEY.search(name):
            return MASK
        if isinstance(value, str):
            return self.mask(value)
        if depth < DEEPEST and isinstance(value, Mapping):
            return {self.mask(str(key)): self._clean(str(key), inner, depth + 1) for key, inner in value.items()}
        if depth < DEEPEST and isinstance(value, list | tuple | set | frozenset):
            return [self._clean("", inner, depth + 1) for inner in value]
        return self.mask(str(value) if isinstance(value, BaseException) else repr(value))


SECRETS = Secrets()
hide = SECRETS.hide


def reveal(secret: FromEnv | FromFile) -> str:
    """Resolve a secret's reference, so that no log line shows its value from now on; raise MissingSecretError."""
    value = resolve(secret)
    hide(value)
    return value
