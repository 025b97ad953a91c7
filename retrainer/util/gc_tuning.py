"""Memory and threads: what the garbage collector looks at, how many heaps there are, how soon threads take turns.

Rules, once loaded, are hundreds of thousands of objects that stay. The collector would walk all of them whenever events
on their way have piled up: a tenth of the time that an event takes with a hundred rules, a third with ten thousand.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

YOUNG = 5_000
"""New objects that a look at them is worth; events on their way are some thousands, and are freed without it."""


_MMAP_THRESHOLD, _ARENA_MAX = -3, -8
"""Of mallopt(3), as glibc numbers them."""
ARENAS = 2
MAPPED = 128 * 1024
"""Bytes from which a block is mapped by itself, and unmapped as soon as it is freed."""


def bounded_heaps() -> None:
    """Let threads share two heaps of the C library, before there are any, and keep large blocks out of them.

    glibc gives nearly each thread a heap of its own, which keeps what it once took, and raises the threshold for mapped
    blocks to the largest one that was freed: then one body of a megabyte leaves a gap that small blocks settle in.
    Python's own objects are elsewhere, so that nobody waits for anybody. Other C libraries have no such heaps, and
    nothing is asked of them.
    """
    with suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_ARENA_MAX, ARENAS)
        mallopt(_MMAP_THRESHOLD, MAPPED)


def take_turns() -> None:
    """Have a thread that computes give way to another after a millisecond, instead of five.

    An event passes four threads on its way to its Workflow. Each of them may find the one before it still busy with
    what comes after: telling the log and the metrics.
    """
    sys.setswitchinterval(0.001)


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
