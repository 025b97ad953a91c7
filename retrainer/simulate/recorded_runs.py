"""Ids, durations and results of simulated runs, taken from the recorded runs of a history."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict, deque
from hashlib import sha256
from typing import TYPE_CHECKING

from ulid import ULID

from retrainer.runs.run import RunPhase
from retrainer.simulate.run_script import RunScript

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from retrainer.runs.run import Run
    from retrainer.simulate.history import Recorded


class RecordedRuns:
    """A run created at exactly the time of a recorded run is that run: it has its id, and its end is in the history.

    Any other run has the course of the recorded run of its rule (and key, if there is one) that was created nearest to
    it. Without one, it succeeds after ``otherwise`` seconds.
    """

    def __init__(self, runs: Iterable[Recorded], otherwise: float) -> None:
        self.by_id: dict[str, Recorded] = {}
        self._by_creation: dict[tuple[str, str, float], deque[str]] = defaultdict(deque)
        self._ended: dict[tuple[str, str | None], list[Recorded]] = defaultdict(list)
        self._otherwise = otherwise
        self._made: dict[tuple[str, str], int] = defaultdict(int)
        for run in runs:
            self.by_id[run.id] = run
            self._by_creation[run.rule, run.key, run.created_at].append(run.id)
            if run.ended_at is not None and run.submitted_at is not None:
                self._ended[run.rule, run.key].append(run)
                self._ended[run.rule, None].append(run)

    def new_id(self, rule: str, key: str, now: float) -> str:
        """Return the id of the run recorded at this time, else a new id that is the same in each simulation."""
        known = self._by_creation.get((rule, key, now))
        if known:
            return known.popleft()
        self._made[rule, key] += 1
        whose = sha256(f"{rule}/{key}".encode()).digest()[:6]
        return str(ULID.from_bytes(int(now * 1000).to_bytes(6) + self._made[rule, key].to_bytes(4) + whose))

    def going(self, run: Run) -> RunScript | None:
        """Return the script of a run; None if its end is in the history."""
        if run.id in self.by_id:
            return None
        near = self._nearest(run)
        if near is None or near.ended_at is None:
            return RunScript(self._otherwise)
        started = near.admitted_at if near.admitted_at is not None else near.created_at
        outputs = _as_parameters(run.submit.get("outputs") or {}, near.outputs)
        return RunScript(near.ended_at - started, RunPhase(near.phase), outputs, near.resources)

    def _nearest(self, run: Run) -> Recorded | None:
        known = self._ended.get((run.rule, run.key)) or self._ended.get((run.rule, None))
        if not known:
            return None
        at = bisect_left(known, run.created_at, key=lambda r: r.created_at)
        return min(known[max(0, at - 1) : at + 1], key=lambda r: abs(r.created_at - run.created_at))


def _as_parameters(wanted: Mapping[str, Mapping[str, str]], outputs: Mapping[str, object]) -> dict[str, str]:
    """Return outputs as text, by the names of the Workflow's parameters."""
    return {
        spec["parameter"]: str(outputs[name]).lower() if isinstance(outputs[name], bool) else str(outputs[name])
        for name, spec in wanted.items()
        if name in outputs
    }
