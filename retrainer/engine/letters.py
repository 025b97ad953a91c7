"""Dead letters: what could not be taken in, with the reason, for somebody to look at and to play back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrainer.store.rows import dump

if TYPE_CHECKING:
    from retrainer.engine.work import Work
    from retrainer.event import Event


def dead(work: Work, event: Event, reason: str, error: str, rule: str = "") -> None:
    """Keep an event that could be read, but not taken."""
    payload = dump(
        {
            "type": event.type,
            "time": event.time,
            "subject": event.subject,
            "data": event.data,
            "attributes": event.attributes,
        }
    )
    dead_letter(work, event.source, event.id, reason, error, payload.encode(), rule)


def dead_letter(work: Work, source: str, event: str, reason: str, error: str, payload: bytes, rule: str = "") -> None:
    work.rows["dead_letters"].append(
        {
            "at": work.now,
            "source": source,
            "event": event,
            "reason": reason,
            "error": error,
            "payload": payload,
            "rule": rule,
            "size": len(payload),
        }
    )
    work.tell("dead_letter", source=source, event=event, reason=reason, error=error, rule=rule)
