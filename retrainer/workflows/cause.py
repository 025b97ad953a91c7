"""PURE: the cause of a run, as JSON small enough for an annotation of its Workflow."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson

from retrainer.util.timefmt import moment

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrainer.runs.run import Run

MOST = 4096
"""Bytes. All annotations of an object together may have 256 KiB, and every list of Workflows includes them."""
_TIGHTER = ((200, 50), (200, 10), (80, 5), (40, 1))
"""Limits for characters of a text and items of a list; each pair is tried if the one before it is too long."""


def cause(run: Run, mask: Callable[[str], str] = str) -> str:
    """Return JSON with the trigger tree, its values, the window and the upstream run: at most MOST bytes.

    If anything is cut off, `truncated` is set. ``mask`` removes secrets from a text.
    """
    facts = _facts(run)
    for characters, members in _TIGHTER:
        cut = _Cut(characters, members, mask)
        short = cut.of(facts)
        text = orjson.dumps(short | {"truncated": True} if cut.happened else short)
        if len(text) <= MOST:
            return text.decode()
    return orjson.dumps({"trigger": run.trigger, "reason": run.reason, "truncated": True}).decode()


def harmless(text: str) -> str:
    """Break up `{{`: keys come from events, and templates can insert annotations, where Argo would expand it."""
    return re.sub(r"\{(?=\{)", "{ ", text)


def _facts(run: Run) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "trigger": run.trigger,
        "reason": run.reason,
        "when": run.cause.get("because"),
        "detail": run.cause.get("detail") if not run.cause.get("because") else None,
        "window": _window(run),
        "upstream": run.cause.get("upstream"),
        "slot": moment(run.scheduled_at),
        "request": run.cause.get("request"),
        "by": run.cause.get("by"),
        "retry_of": run.retry_of,
        "attempt": run.attempt if run.retry_of else None,
        "revision": run.revision,
    }
    return {name: value for name, value in facts.items() if value}


def _window(run: Run) -> dict[str, Any]:
    window = run.window
    if not window.get("events"):
        return {}
    figures = {name: window[name] for name in ("events", "bytes", "rows", "first_key", "last_key")}
    return {**figures, "start": moment(window["start"]), "end": moment(window["end"])}


class _Cut:
    """Shortens texts and lists, masks secrets, breaks up what Argo would expand. ``happened``: something was cut."""

    def __init__(self, characters: int, members: int, mask: Callable[[str], str]) -> None:
        self._characters, self._members, self._mask = characters, members, mask
        self.happened = False

    def of(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {name: self.of(inner) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return self._list(list(value))
        return self._text(value) if isinstance(value, str) else value

    def _list(self, values: list[Any]) -> list[Any]:
        kept = [self.of(value) for value in values[: self._members]]
        if len(values) > len(kept):
            self.happened = True
            kept.append({"more": len(values) - len(kept)})
        return kept

    def _text(self, text: str) -> str:
        text = harmless(self._mask(text))
        if len(text) <= self._characters:
            return text
        self.happened = True
        return f"{text[: self._characters]}…"
