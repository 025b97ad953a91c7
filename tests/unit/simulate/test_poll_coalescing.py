"""Coalescing polls and events without effect does not change any result."""

from __future__ import annotations

import math
import random
from array import array
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from retrainer.event import Event
from retrainer.rules.state import decode, encode
from retrainer.simulate import poll_coalescing
from retrainer.simulate.event_coalescing import EventCoalescer
from retrainer.simulate.history import History, HistoryRecord
from retrainer.simulate.player import Player
from retrainer.simulate.ranges import ABSENT, Column, Range
from tests.unit.simulate.live import START, decided, rows, rules_in

if TYPE_CHECKING:
    from pathlib import Path

RULES = """\
version: 1
sources:
  push: {type: webhook, path: /hooks/push, token: {from_env: NOT_SET_ANYWHERE}}
  prom: {type: prometheus, url: "http://127.0.0.1:1", polling_interval: 1m}
rules:
  - name: a
    triggers:
      drift:
        metric: {source: prom, expr: psi, match: {model: a}, above: 0.2, clear: 0.1, for: 5m, repeat_interval: 3h}
      new: {data: {source: push, match: {model: a}, batch: {at_least: {events: 4}, max_wait: 3h}}}
      nightly: {schedule: {cron: "23 */4 * * *"}}
    limits: {cooldown: {period: 40m}}
    submit: {workflow_template: t, parameters: {worst: "${trigger.values}"}}
  - name: b
    triggers:
      drift: {metric: {source: prom, expr: psi, match: {model: b}, above: 0.2, at_least: {series: 2}, no_data: ok}}
      new: {data: {source: push, match: {model: b}, batch: {at_least: {events: 4}, debounce: 7m}}}
      after: {after: {rule: a}}
    submit: {workflow_template: t}
  - name: c
    triggers:
      drift: {metric: {source: prom, expr: psi, match: {model: c}, above: 0.2, max_sample_age: 1m, no_data: fire}}
      stale: {freshness: {max_age: 6h}}
    when: {any: [drift, {all: [stale, drift], within: 1h}]}
    submit: {workflow_template: t}
  - name: d
    triggers:
      small:
        data:
          source: push
          match: {model: "[ad]"}
          where: "event.data.size < 50"
          rows: event.data.rows
          batch: {at_least: {bytes: 400B, rows: 90}, max_wait: 5h}
      large: {data: {source: push, where: "event.data.size > 40", batch: {at_least: {events: 7}}}}
      hourly: {schedule: {cron: "41 * * * *"}}
      old: {freshness: {max_age: 4h}}
    limits: {cooldown: {period: 1h}, overlap: cancel_other}
    submit: {workflow_template: t, parameters: {n: "${window.rows}", last: "${events[0].data.n}"}}
  - name: e
    triggers:
      small: {data: {source: push, where: "event.data.size < 10", batch: {at_least: {events: 5}}}}
      done: {after: {rule: d, outcome: completed}}
    limits: {overlap: skip}
    submit: {workflow_template: t, parameters: {first: "${window.first_key}"}}
"""
HELD = """\
version: 1
sources: {push: {type: webhook, path: /hooks/push, token: {from_env: NOT_SET_ANYWHERE}}}
rules:
  - name: a
    triggers:
      drift: {metric: {source: push, match: {kind: psi}, above: 0.2, jitter: 0s, repeat_interval: 10m}}
      new: {data: {source: push, match: {kind: file}, batch: {at_least: {events: 150}}}}
    limits: {cooldown: {period: 3h}}
    submit: {workflow_template: t}
"""
POLLS = 1000


def ranges(pick: random.Random) -> list[Range]:
    columns = []
    for model in "abc":
        for pod in "xy":
            labels = {"model": model, "pod": pod}
            columns.append(Column(labels, f'{{model="{model}",pod="{pod}"}}', array("d", _walk(pick))))
    return [Range("prom", "psi", START, 60.0, POLLS, tuple(columns))]


def _walk(pick: random.Random) -> list[float]:
    """Values that are mostly below the threshold."""
    values: list[float] = []
    while len(values) < POLLS:
        long, level = pick.randint(1, 120), pick.choice([0.05, 0.05, 0.08, 0.15, 0.3, ABSENT, math.nan])
        values += [level + (pick.random() / 100 if math.isfinite(level) else 0) for _ in range(long)]
    return values[:POLLS]


def history(pick: random.Random) -> History:
    moments = sorted(
        START + pick.choice([pick.random() * POLLS * 60, pick.randrange(POLLS) * 60.0]) for _ in range(300)
    )
    events = [HistoryRecord(at, Event("push", f"e{n}", "json", at, _data(pick, n))) for n, at in enumerate(moments)]
    return History(lambda: iter(events))


def _data(pick: random.Random, n: int) -> dict[str, Any]:
    """Occasionally a value that `where` or `rows` cannot evaluate."""
    size = pick.choice([1, 5, 20, 45, 60, "none"]) if n % 20 == 0 else pick.choice([1, 5, 20, 45, 60])
    return {"model": pick.choice("abcdx"), "size": size, "rows": pick.randint(0, 20), "n": n, "key": f"k{n}"}


def played(folder: Path, seed: int) -> dict[str, Any]:
    configuration = rules_in(folder, RULES)
    pick = random.Random(seed)
    player = Player(configuration, history(pick), run_duration=1800.0, ranges=ranges(pick))
    player.play(START + POLLS * 60 + 7200)
    store = player.world.store
    states = rows(store, "SELECT rule, key, state FROM states ORDER BY rule, key")
    found = {**decided(store), "states": [(rule, key, _unnumbered(state)) for rule, key, state in states]}
    player.world.close()
    return found


def _unnumbered(state: str) -> str:
    """The state without event numbers: coalesced polls have none."""
    known = decode(state)
    windows = {name: replace(window, ranges=()) for name, window in known.windows.items()}
    return encode(replace(known, taken_hi=0, window=replace(known.window, ranges=()), windows=windows))


@pytest.mark.parametrize("seed", range(6))
def test_what_is_passed_over_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    fast = played(tmp_path, seed)
    monkeypatch.setattr(poll_coalescing, "_alone", lambda _: False)
    monkeypatch.setattr(EventCoalescer, "take", lambda *_: False)
    slow = played(tmp_path, seed)
    assert len(slow["runs"]) > 5
    for what, known in slow.items():
        assert _bare(fast[what]) == _bare(known), what


def test_events_of_a_rule_that_is_held_are_summed_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configuration = rules_in(tmp_path, HELD)
    kinds = ["psi" if n % 50 == 1 else "file" for n in range(400)]
    events = [
        HistoryRecord(at, Event("push", f"e{n}", "json", at, {"kind": kind, "value": 0.3}))
        for n, kind in enumerate(kinds)
        for at in (START + n * 60,)
    ]

    def play() -> dict[str, Any]:
        player = Player(configuration, History(lambda: iter(events)), run_duration=1800.0)
        player.play(START + 400 * 60)
        found = decided(player.world.store)
        player.world.close()
        return found

    taken: list[bool] = []
    take = EventCoalescer.take
    monkeypatch.setattr(EventCoalescer, "take", lambda *given: taken.append(take(*given)) or taken[-1])
    fast = play()
    monkeypatch.setattr(EventCoalescer, "take", lambda *_: False)
    slow = play()
    assert {what: _bare(rows) for what, rows in fast.items()} == {what: _bare(rows) for what, rows in slow.items()}
    assert sum(taken) > 250


def _bare(found: list[Any]) -> list[Any]:
    """Rows without ids: the order of ids over unrelated rules has no meaning."""
    return sorted(found, key=repr)
