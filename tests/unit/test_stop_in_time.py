"""Every wait during a stop has a limit."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from retrainer.util.supervision import Worker, join_all
from tests.houses.daemon_in_process import DaemonInProcess
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

RULES = """
version: 1
sources:
  push: {type: webhook, path: /hooks/push}
rules:
  - name: one
    triggers: {d: {data: {source: push, batch: {at_least: {events: 1}}}}}
    submit: {workflow_template: t}
"""


def test_a_backlog_of_what_is_to_be_pruned_does_not_keep_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house = DaemonInProcess(tmp_path, RULES)
    turns: list[int] = []

    def prune(*_: object) -> bool:
        turns.append(1)
        return len(turns) < 100_000  # the test must end in either case

    monkeypatch.setattr(house.app.pruner, "prune", prune)
    house.app.timers.wake("prune")
    until(lambda: len(turns) > 2, "it prunes")
    house.close()
    assert len(turns) < 100_000


def test_threads_that_do_not_end_are_left_behind_within_one_deadline() -> None:
    go_on = threading.Event()
    threads = [Worker("submit", go_on.wait, lambda: True, name=f"submit-{n}") for n in range(3)]
    for thread in threads:
        thread.start()
    join_all(threads, 0.05)
    assert all(thread.abandoned for thread in threads)
    go_on.set()


def test_a_submitter_whose_threads_hang_ends_in_time(tmp_path: Path) -> None:
    house = DaemonInProcess(tmp_path, RULES)
    go_on = threading.Event()
    hung = Worker("submit", go_on.wait, lambda: True, name="submit-hung")
    hung.start()
    house.app.run_workers.submitter._workers.append(hung)
    house.app.run_workers.submitter.stop(0.5)
    assert hung.abandoned
    go_on.set()
    house.close()
