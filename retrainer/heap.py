"""What Python's cyclic garbage collector looks at.

Rules, once loaded, are hundreds of thousands of objects that stay. The collector would walk all of them whenever events
on their way have piled up: a tenth of the time that an event takes with a hundred rules, a third with ten thousand.
"""

from __future__ import annotations

import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

YOUNG = 5_000
"""New objects that a look at them is worth; events on their way are some thousands, and are freed without it."""


def settle() -> None:
    """Take what is there for lasting, and free what an earlier call took so and is gone by now. Stops all threads."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 10, 10)


@contextmanager
def undisturbed() -> Iterator[None]:
    """While something large is read that has no cycles: looking at it again and again takes longer than reading it."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
