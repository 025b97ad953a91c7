"""Find the places that the bad rule reaches, for the fault machine, and put a fault into each in a short story."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.unit.engine.any_fault import SWITCHBOARD, AnyFault
from tests.unit.engine.deeds import ASKED
from tests.unit.engine.drawn import FULL
from tests.unit.engine.switchboard import ALWAYS, BAD, KINDS, ONCE, PLACES, Fault

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def wired() -> Iterator[None]:
    """Enable fault injection, and find the places that bad rules reach."""
    with SWITCHBOARD.wired():
        SWITCHBOARD.reached.clear()
        for drawn in FULL:
            machine = AnyFault()
            machine.begin([drawn], [])
            for number in range(3):
                machine.something_happens(number)
                machine.somebody_asks(BAD, sorted(ASKED)[number], "")
            machine.the_bad_rule_is_edited(FULL[:1], "")
            machine.something_happens(3)
            machine.teardown()
        SWITCHBOARD.known = sorted(SWITCHBOARD.reached)
        yield


def stories(step: int) -> Iterator[tuple[Fault, dict[str, Any]]]:
    """A fault in each ``step``-th place, of one kind in turn, with a rule that has it. Step 1 yields all kinds."""
    for n, path in enumerate(SWITCHBOARD.known):
        for kind in KINDS if step == 1 else (KINDS[n // step % len(KINDS)],):
            if n % step == 0:
                yield Fault(PLACES[path], kind, ONCE if kind == "busy" else ALWAYS, 1), FULL[(n // step) % len(FULL)]


def emitted(machine: AnyFault, fault: Fault, drawn: dict[str, Any]) -> int:
    """Run without a fault, with the fault, and after its removal. Return how often the fault was raised."""
    try:
        machine.begin([drawn], FULL[1:2])
        machine.something_happens(1)
        SWITCHBOARD.put_in(fault)
        for number in (2, 3):
            machine.something_happens(number)
        raised = sum(SWITCHBOARD.raised.values())
        machine.it_is_mended()
        machine.something_happens(4)
        machine.everything_holds()
    except Exception as error:
        error.add_note(f"with {fault.kind} in {fault.place.path}")
        raise
    finally:
        machine.teardown()
    return raised
