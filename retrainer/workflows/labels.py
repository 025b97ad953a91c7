"""PURE: converts user labels into valid Kubernetes labels."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_PREFIX = 253


def safe_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Keep valid labels, and correct invalid ones. A label whose name has no valid character is dropped."""
    mended = ((_key(key), _part(str(value))) for key, value in labels.items())
    return {key: value for key, value in mended if key}


def _part(text: str) -> str:
    """Return at most 63 letters, digits, dashes, underscores and dots, with a letter or digit at both ends."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text)[:63].strip("-_.")


def _key(key: str) -> str:
    prefix, slash, name = key.rpartition("/")
    if not slash:
        return _part(key)
    domain = re.sub(r"[^a-z0-9.-]+", "-", prefix.lower())[:_MAX_PREFIX].strip("-.")
    mended = _part(name)
    return f"{domain}/{mended}" if domain and mended else mended
