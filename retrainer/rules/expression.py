"""CEL, bounded: the evaluator has no cost limit of its own, so size and nesting are capped before it sees a text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from retrainer import values
from retrainer.bare import bare

with bare("cel"):
    from cel import cel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrainer.event import Event

MAX_LENGTH = 2048
MAX_MACROS = 2
LONGEST_KEY = 200
_MACRO = re.compile(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(")
_FIRST, _LAST = (datetime(year, 1, 1, tzinfo=UTC).timestamp() for year in (1, 9999))
_POSITION = re.compile(r"<input>:1:(\d+): (?:Syntax error: )?([^\n]*)")


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled expression. ``variables`` are the names it reads."""

    text: str
    variables: frozenset[str]
    compiled: Any

    def evaluate(self, scope: Mapping[str, Any]) -> Any:
        """Return the value; raise ValueError with the reason if it has none (a missing field, a wrong type)."""
        try:
            return self.compiled.execute(scope)
        except KeyError as error:
            raise ValueError(f"`{self.text}`: no field {error}; guard it with has(…)") from None
        except Exception as error:  # noqa: BLE001 - the evaluator raises many kinds, all of them mean: no value
            raise ValueError(f"`{self.text}`: {str(error).split('. ')[0]}") from None


def compile_cel(text: str) -> Program:
    """Compile; raise ValueError with the column and the way out."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"expression of {len(text)} characters; at most {MAX_LENGTH} are allowed")
    if len(_MACRO.findall(text)) > MAX_MACROS:
        raise ValueError(f"at most {MAX_MACROS} of all, exists, exists_one, map and filter in one expression")
    try:
        compiled = cel.compile(text)
    except ValueError as error:
        found = _POSITION.search(str(error))
        where, what = (f"column {found[1]}: ", found[2]) if found else ("", str(error).split("\n")[0])
        raise ValueError(f"not a CEL expression: {where}{what}") from None
    return Program(text, frozenset(compiled.variables()), compiled)


def timestamp(seconds: float | None) -> datetime | None:
    """Epoch seconds as CEL sees them; what lies beyond the calendar is its first or last moment."""
    return None if seconds is None else datetime.fromtimestamp(min(max(seconds, _FIRST), _LAST), UTC)


def event_scope(event: Event) -> dict[str, Any]:
    """An event as expressions see it."""
    return {
        "source": event.source,
        "id": event.id,
        "type": event.type,
        "time": timestamp(event.time),
        "subject": event.subject,
        "data": event.data,
        "attributes": event.shown_attributes(),
    }


def name_by(program: Program, event: Event, longest: int, what: str, *, printable: bool = True) -> str:
    """The text that an expression gives for an event; raise ValueError if it is none that `values.name` takes."""
    value = program.evaluate({"event": event_scope(event)})
    try:
        return values.name(value, longest, printable=printable)
    except ValueError as error:
        needed = f"{what} is a text of 1 to {longest} characters, or a whole number"
        raise ValueError(f"`{program.text}` {error}; {needed}") from None
