"""What a simulation is asked, and what it answers, as they pass between the daemon and its process."""

from __future__ import annotations

from dataclasses import dataclass, field

Value = str | int | float
CANCEL = b"cancel\n"
"""A line that cancels the job before it."""


@dataclass(frozen=True, slots=True)
class StoreAddress:
    """A SQLite file, or the URL of a PostgreSQL database with its password."""

    path: str = ""
    url: str = field(default="", repr=False)
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class WhatIfJob:
    """Play ``rule`` from ``since`` to ``until`` (epoch seconds), as it is and with ``changes`` or another ``text``.

    ``companions`` are the rules that are played with it, ``left_out`` counts others that share a pool or budget.
    ``namespaces`` are those of who asks, None for all. Who asks does not see the rules ``hidden``, which are among the
    companions; ``hidden_share``: such rules share a pool or budget, and are not played.
    ``memory`` is the limit of each of two processes in bytes, ``seconds`` that of their CPU time.
    """

    store: StoreAddress
    rule: str
    changes: dict[str, Value]
    text: str
    since: float
    until: float
    companions: list[str]
    left_out: int
    shadow: str
    memory: int
    seconds: int
    namespaces: list[str] | None = None
    hidden: list[str] = field(default_factory=list)
    hidden_share: bool = False


class WhatIfError(Exception):
    """The simulation cannot answer. The message is for the user."""
