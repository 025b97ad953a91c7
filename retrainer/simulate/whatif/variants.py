"""Play the two variants of a rule on the same inputs, each in a process of its own if there are two processors."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from retrainer.engine.core.containment import Care
from retrainer.simulate.outcome import Outcome, RecordedDecision, read
from retrainer.simulate.player import Player
from retrainer.simulate.whatif.job import WhatIfError
from retrainer.util import gc_tuning

if TYPE_CHECKING:
    from retrainer.config.configuration import Configuration
    from retrainer.simulate.history import History

STEPS = 25
"""Number of progress reports of a variant."""
Report = Callable[[str, float], None]
"""Called with the variant, and the share of the period that was played."""
RUN_DURATION = 3600.0
"""Seconds that a run lasts if no run of its rule has ended."""


def active(configuration: Configuration, rule: str) -> Configuration:
    """Return the rules with this one active, whatever its mode is."""
    rules = tuple(one.model_copy(update={"mode": "active"}) if one.name == rule else one for one in configuration.rules)
    return replace(configuration, rules=rules)


def play_both(
    history: History,
    current: Configuration,
    proposed: Configuration,
    until: float,
    report: Report,
) -> tuple[Outcome, Outcome]:
    """Return the outcomes of both. Raise WhatIfError if the process of the second one ends without an answer."""
    gc_tuning.settle()
    if (os.cpu_count() or 1) < 2:
        return play(history, current, until, "current", report), play(history, proposed, until, "proposed", report)
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        os.close(reading)
        _answer(writing, lambda: play(history, proposed, until, "proposed", report))
    os.close(writing)
    mine = play(history, current, until, "current", report)
    with os.fdopen(reading, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return mine, _outcome(answer)


def _answer(writing: int, ask: Callable[[], Outcome]) -> None:
    """Write the outcome, or the error, and end the process."""
    with suppress(BaseException), os.fdopen(writing, "wb") as pipe:
        try:
            outcome = ask()
            answer: Any = (outcome.runs, [tuple(decision) for decision in outcome.decisions])
        except MemoryError:
            answer = "memory"
        except Exception as error:  # noqa: BLE001 - told to the parent, whatever it is
            answer = f"{type(error).__name__}: {error}"
        pickle.dump(answer, pipe, protocol=5)
    os._exit(0)


def _outcome(answer: bytes) -> Outcome:
    if not answer:
        raise WhatIfError("playing the changed rule needed too much memory or time: choose a shorter period")
    found = pickle.loads(answer)  # noqa: S301 - of our own child
    if found == "memory":
        raise MemoryError
    if isinstance(found, str):
        raise WhatIfError(f"the changed rule could not be played: {found}")
    runs, decisions = found
    return Outcome(runs, tuple(map(RecordedDecision._make, decisions)))


def play(history: History, configuration: Configuration, until: float, name: str, report: Report) -> Outcome:
    """Play without containment; if the rule raises, again with containment, as in a daemon."""
    try:
        return _played(history, configuration, until, name, report, Care.NEVER)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - errors that are not a rule's are raised again
        return _played(history, configuration, until, name, report, Care.ALWAYS)


def _played(
    history: History,
    configuration: Configuration,
    until: float,
    name: str,
    report: Report,
    care: Care,
) -> Outcome:
    begin, _ = history.span or (until, until)
    told = 0

    def progress(at: float, _events: int) -> None:
        nonlocal told
        share = (at - begin) / (until - begin) if until > begin else 1.0
        if int(share * STEPS) > told:
            told = int(share * STEPS)
            report(name, min(share, 1.0))

    player = Player(configuration, history, run_duration=RUN_DURATION, progress=progress, care=care)
    try:
        player.play(until)
        return read(player.world.store)
    finally:
        player.world.close()
