"""Play the variants of a rule on the same inputs. One may be played in a child, so that each has a processor."""

from __future__ import annotations

import os
import pickle
import resource
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from retrainer.engine.core.containment import Care
from retrainer.simulate.outcome import Outcome, RecordedDecision, read
from retrainer.simulate.player import Player, in_steps
from retrainer.simulate.whatif.job import WhatIfError
from retrainer.util import gc_tuning

if TYPE_CHECKING:
    from retrainer.config.configuration import Configuration
    from retrainer.simulate.history import History

STEPS = 25
"""Number of progress reports of a variant."""
Report = Callable[[float], None]
"""Called with the share of the period that was played."""
RUN_DURATION = 3600.0
"""Seconds that a run lasts if no run of its rule has ended."""


def active(configuration: Configuration, rule: str) -> Configuration:
    """Return the rules with this one active, whatever its mode is."""
    rules = tuple(one.model_copy(update={"mode": "active"}) if one.name == rule else one for one in configuration.rules)
    return replace(configuration, rules=rules)


class ChildPlay:
    """A variant that is played in a child of this process. `stop` may be called from any thread."""

    def __init__(self, seconds: int, play_variant: Callable[[], Outcome]) -> None:
        """``seconds`` is the limit of the child's processor time."""
        gc_tuning.settle()
        self._lock = threading.Lock()
        reading, writing = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(reading)
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.getrlimit(resource.RLIMIT_CPU)[1]))
            _answer(writing, play_variant)
        os.close(writing)
        self._pipe = os.fdopen(reading, "rb")

    def outcome(self) -> Outcome:
        """Wait for the outcome. Raise WhatIfError if the child ends without one."""
        with self._pipe:
            answer = self._pipe.read()
        self.stop()
        return _outcome(answer)

    def stop(self) -> None:
        with self._lock:
            if self._pid:
                os.kill(self._pid, signal.SIGKILL)
                os.waitpid(self._pid, 0)
                self._pid = 0


def _answer(writing: int, ask: Callable[[], Outcome]) -> None:
    """Write the outcome, or the error, and end the process."""
    with suppress(BaseException), os.fdopen(writing, "wb") as pipe:
        try:
            outcome = ask()
            answer: Any = (outcome.runs, [tuple(decision) for decision in outcome.decisions])
        except MemoryError:
            answer = "memory"
        except Exception as error:  # noqa: BLE001 - the parent reports it, whatever it is
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


def play(history: History, configuration: Configuration, until: float, report: Report) -> Outcome:
    """Play without containment; if the rule raises, again with containment, as in a daemon."""
    try:
        return _played(history, configuration, until, report, Care.NEVER)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - errors that are not a rule's are raised again
        return _played(history, configuration, until, report, Care.ALWAYS)


def _played(
    history: History,
    configuration: Configuration,
    until: float,
    report: Report,
    care: Care,
) -> Outcome:
    begin, _ = history.span or (until, until)
    progress = in_steps(STEPS, begin, until, lambda _at, share, _events: report(share))
    player = Player(configuration, history, run_duration=RUN_DURATION, progress=progress, care=care)
    try:
        player.play(until)
        return read(player.world.store)
    finally:
        player.world.close()
