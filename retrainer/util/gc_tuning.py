"""Tuning of memory and threads: the garbage collector, the number of heaps, and the thread switch interval.

Loaded rules are hundreds of thousands of permanent objects. The collector would traverse all of them whenever events in
process have accumulated: a tenth of the time of an event with a hundred rules, a third with ten thousand.
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
"""New objects that start a collection. Events in process are some thousands, and are freed without one."""


_MMAP_THRESHOLD, _ARENA_MAX = -3, -8
"""Parameters of mallopt(3), by their numbers in glibc."""
ARENAS = 2
MAPPED = 128 * 1024
"""Bytes from which a block is mapped separately, and unmapped as soon as it is freed."""


def bounded_heaps() -> None:
    """Limit the C library to two heaps, before threads start, and keep large blocks out of them.

    glibc gives nearly each thread its own heap, which keeps memory it once took. It also raises the threshold for
    mapped blocks to the largest block freed so far: then one body of a megabyte leaves a gap that small blocks occupy.
    Python's own objects are allocated elsewhere, so threads do not contend for the two heaps. Other C libraries have no
    such heaps, and are not changed.
    """
    with suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_ARENA_MAX, ARENAS)
        mallopt(_MMAP_THRESHOLD, MAPPED)


def take_turns() -> None:
    """Make a computing thread yield after 1 ms instead of 5 ms.

    An event passes four threads before its Workflow is created. Each of them may have to wait while the previous one
    still updates the log and the metrics.
    """
    sys.setswitchinterval(0.001)


def settle() -> None:
    """Exclude all current objects from collection, after freeing unused ones of earlier calls. Stops all threads."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 10, 10)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Disable collection while something large without cycles is read: collections would take longer than reading."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
