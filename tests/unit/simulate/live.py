"""An engine that processes random events on a real file, to produce a history for replay."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from retrainer.config.load import load_files
from retrainer.engine.commands import feedback, operator_commands
from retrainer.engine.schedules import backfills
from retrainer.engine.schedules.backfills import BackfillOrder
from retrainer.event import Event
from retrainer.rules.outcome import Imported
from retrainer.sources.base import Batch
from retrainer.workflows.base import Observed
from tests.houses.engine import DrivenEngine

if TYPE_CHECKING:
    from pathlib import Path

    from retrainer.config.configuration import Configuration
    from retrainer.store.base import Store

START = 1_800_000_000.0
RULES = """\
version: 1
sources:
  push: {type: webhook, path: /hooks/push, token: {from_env: NOT_SET_ANYWHERE}}
  prom: {type: prometheus, url: "http://127.0.0.1:1", polling_interval: 1m}
  alerts: {type: alertmanager, path: /hooks/alerts, token: {from_env: NOT_SET_ANYWHERE}}
pools: {gpu: 1}
budgets: {shared: {runs: 4, per: 6h}}
rules:
  - name: plain
    triggers: {new: {data: {source: push, match: {kind: data}, batch: {at_least: {events: 3}, max_wait: 2h}}}}
    limits: {pool: gpu, overlap: allow_all, priority: 2}
    submit: {workflow_template: t, parameters: {run: "${run.id}", n: "${window.events}", last: "${events[0].data.n}"}}
  - name: keyed
    for_each: {by: {new: event.data.customer}, max_keys: 3}
    triggers:
      new:
        data: {source: push, match: {kind: data}, distinct_by: event.data.n,
               batch: {at_least: {events: 2}, debounce: 5m}}
      hourly: {schedule: {cron: "17 * * * *", jitter: 5m}}
    limits: {pool: gpu, overlap: cancel_other, pause_after_failures: 2, cooldown: {period: 20m}}
    submit: {workflow_template: t, parameters: {key: "${key}", before: "${has(previous.id) ? previous.id : 'none'}"}}
  - name: drift
    triggers:
      psi:
        metric: {source: prom, expr: psi, above: 0.2, clear: 0.1, for: 5m, repeat_interval: 2h, max_sample_age: 20m}
      pushed: {metric: {source: push, match: {kind: value}, below: 0.3, consecutive: 2, repeat_interval: 1h}}
      page: {alert: {source: alerts, match: {model: drift}, repeat_interval: 3h}}
    limits:
      cooldown: {period: 10m, from: fired}
      budget: {runs: 5, gpu_hours: 3, per: 8h, reserve: 0.5}
      deadline: 3h
      overlap: skip
    feedback: {promoted: "has(outputs.promoted) && outputs.promoted", backoff: {factor: 2, max: 1d}}
    cost: {gpu_hours: "has(outputs.hours) ? outputs.hours : 0.0"}
    submit:
      workflow_template: t
      parameters: {why: "${trigger.reason}", worst: "${trigger.values}"}
      retry: {limit: 1, backoff: {duration: 3m}}
      outputs: {promoted: {parameter: promoted, type: boolean}, hours: {parameter: hours}}
  - name: follower
    triggers:
      promoted: {after: {rule: drift, outcome: promoted}}
      old: {freshness: {max_age: 5h, min_retry_interval: 30m}}
      daily: {schedule: {cron: "0 */3 * * *", timezone: Europe/Berlin}}
      more: {data: {source: push, match: {kind: data}}}
    when: {any: [promoted, old, {all: [daily, more], within: 1h}]}
    limits: {budget: shared}
    submit: {workflow_template: t, parameters: {of: "${has(upstream.id) ? upstream.id : 'nobody'}"}}
"""


def rules_in(folder: Path, text: str = RULES) -> Configuration:
    (folder / "rules.yaml").write_text(text)
    configuration, problems = load_files([str(folder / "rules.yaml")])
    assert [str(problem) for problem in problems] == []
    return configuration


class Live:
    """Each action is one transaction. The engine is woken late, sometimes by a long time."""

    def __init__(self, path: Path, configuration: Configuration, seed: int) -> None:
        self.random = random.Random(seed)
        self.driven = DrivenEngine(path, [], START, loaded=configuration, namespace="default")
        self.clock, self.store = self.driven.clock, self.driven.store
        self.engine, self.gateway = self.driven.engine, self.driven.gateway
        self._events = 0

    def live(self, acts: int) -> None:
        for _ in range(acts):
            self._pass(self.random.choice([0.01, 1.0, 60.0, 400.0, 1500.0]) * self.random.random())
            self.random.choice(self._ways())()
        self._pass(7200.0)

    def close(self) -> None:
        self.driven.close()

    def _ways(self) -> list[Any]:
        often = [self._data, self._data, self._data, self._polled, self._polled, self._polled, self._pushed]
        runs = [self._submit, self._submit, self._end, self._end, self._end, self._cancel, self._postpone, self._refuse]
        return [
            *often,
            *runs,
            self._alert,
            self._written,
            self._manual,
            self._backfill,
            self._withdraw,
            self._pause,
            self._resume,
            self._retry,
            self._judge,
            self._import,
        ]

    def _pass(self, seconds: float) -> None:
        end = self.clock.time + seconds
        while (wake := self.engine.next_wake) is not None and wake <= end:
            late = self.random.choice([0.0, 0.001, 0.002, 0.5, 90.0])
            self.clock.time = max(self.clock.time, wake) + late
            self.engine.turn()
        # The clock advances between two transactions, so that the history has distinct times.
        self.clock.time = max(self.clock.time + 0.0001, end)

    def _offer(self, source: str, *events: Event, **more: Any) -> None:
        self.engine.offer(Batch(source, events, **more))
        self.engine.turn()

    def _event(self, source: str, type_: str, data: dict[str, Any]) -> Event:
        self._events += 1
        return Event(source, f"e{self._events}", type_, self.clock.time - self.random.random(), data)

    def _data(self) -> None:
        pick = self.random
        data = [{"kind": "data", "customer": pick.choice("abcd"), "n": pick.randrange(5), "size": 7} for _ in range(3)]
        self._offer("push", *(self._event("push", "json", d) for d in data[: pick.randint(1, 3)]))

    def _written(self) -> None:
        """An event for data that a run wrote, with the run id: the run's own rule ignores it, other rules count it."""
        query = "SELECT id FROM runs ORDER BY id"
        runs = [row[0] for row in self.store.read(lambda conn: list(conn.exec_driver_sql(query)))]
        if runs:
            event = self._event(
                "push", "json", {"kind": "data", "customer": self.random.choice("ab"), "n": 9, "size": 1}
            )
            self._offer("push", replace(event, attributes={"retrainerrun": self.random.choice(runs)}))

    def _pushed(self) -> None:
        self._offer("push", self._event("push", "json", {"kind": "value", "value": round(self.random.random(), 2)}))

    def _polled(self) -> None:
        pick = self.random
        rows = [
            {"labels": {"pod": pod}, "value": pick.choice([None, 0.05, 0.15, 0.3]), "time": self.clock.time}
            for pod in "xy"[: pick.randint(0, 2)]
        ]
        error = "refused" if pick.random() < 0.1 else ""
        data = {"expr": "psi", "series": [] if error else rows, "error": error}
        self._offer("prom", self._event("prom", "prometheus.query", data), identity_window=0)

    def _alert(self) -> None:
        status = self.random.choice(["firing", "resolved"])
        data = {"status": status, "fingerprint": "f", "labels": {"model": "drift"}}
        self._offer("alerts", self._event("alerts", f"alertmanager.{status}", data))

    def _submit(self) -> None:
        for run in self.gateway.claim(3, 30.0):
            self.clock.time += 0.01
            self.gateway.submitted(run.id, f"uid-{run.id}")

    def _end(self) -> None:
        live = self.gateway.live()
        if live:
            pick = self.random
            run = pick.choice(live)
            phase = pick.choice(["Succeeded", "Succeeded", "Failed", "Error", "Running"])
            outputs = {"promoted": pick.choice(["true", "false"]), "hours": str(pick.choice([0.2, 1.5]))}
            seen = Observed(run.namespace, run.workflow, f"uid-{run.id}", run.id, phase, outputs=outputs, message="so")
            self.gateway.observed([seen])

    def _postpone(self) -> None:
        for run in self.gateway.claim(1, 30.0):
            self.gateway.postponed(run.id, "over quota", 120.0)

    def _refuse(self) -> None:
        for run in self.gateway.claim(1, 30.0):
            self.gateway.refused(run.id, "no such template")

    def _cancel(self) -> None:
        for run in self.gateway.to_stop() or self.gateway.live()[:1]:
            stopped = Observed(run.namespace, run.workflow, f"uid-{run.id}", run.id, "Failed", stopped=True)
            if run.stop_requested is None:
                self.engine.act(lambda tx, run=run: operator_commands.cancel(tx, run.id, "Stop")).result()
            self.clock.time += 0.5
            self.gateway.observed([stopped])

    def _manual(self) -> None:
        rule, key, given = self.random.choice([("plain", "", {"n": "by hand"}), ("keyed", "a", {}), ("drift", "", {})])
        self.engine.act(lambda tx: operator_commands.trigger(tx, rule, key, given, None))

    def _backfill(self) -> None:
        rule, key = self.random.choice([("keyed", "a"), ("follower", "")])
        order = BackfillOrder(rule, key, self.random.choice(["2h", "9h"]), rerun=self.random.random() < 0.3, by="anna")
        self.engine.act(lambda tx: backfills.ask(tx, order))

    def _withdraw(self) -> None:
        rule, key = self.random.choice([("keyed", "a"), ("follower", "")])
        self.engine.act(lambda tx: backfills.withdraw(tx, rule, key))

    def _pause(self) -> None:
        rule = self.random.choice(["plain", "drift"])
        self.engine.act(lambda tx: operator_commands.pause(tx, rule, "for a while"))

    def _resume(self) -> None:
        rule = self.random.choice(["plain", "drift", "keyed"])
        self.engine.act(lambda tx: operator_commands.resume(tx, rule))

    def _retry(self) -> None:
        failed = self._runs("phase IN ('FAILED', 'ERROR')")
        if failed:
            self.engine.act(lambda tx: operator_commands.retry(tx, self.random.choice(failed))).result()

    def _judge(self) -> None:
        good = self._runs("phase = 'SUCCEEDED'")
        if good:
            promoted = self.random.random() < 0.5
            self.engine.act(lambda tx: feedback.judge(tx, self.random.choice(good), promoted=promoted)).result()

    def _import(self) -> None:
        at = self.clock.time - self.random.choice([600.0, 20000.0])
        self.engine.act(lambda tx: tx.take("follower", "", Imported(at, None)))

    def _runs(self, where: str) -> list[str]:
        return [row[0] for row in rows(self.store, f"SELECT id FROM runs WHERE {where} ORDER BY id")]


def rows(store: Store, sql: str) -> list[Any]:
    return store.read(lambda conn: [tuple(row) for row in conn.exec_driver_sql(sql)])


def decided(store: Store) -> dict[str, list[Any]]:
    """Return all decisions, runs and slots of a store, without event numbers and journal lines."""
    what = "rule, key, decision, reason, detail, until, run, first_at, last_at, count"
    runs = (
        "id, rule, key, iif(ended_at, phase, 'on its way'), iif(ended_at, message, ''), trigger, reason, parameters,"
        " chain, attempt, retry_of, scheduled_at, priority, created_at, admitted_at, ended_at, outputs, promoted,"
        " gpu_hours, cause, json_extract(window, '$.events')"
    )
    return {
        "decisions": rows(store, f"SELECT {what} FROM decisions ORDER BY id"),
        "runs": rows(store, f"SELECT {runs} FROM runs ORDER BY created_at, id"),
        "slots": rows(store, "SELECT rule, key, trigger, slot, until, count, outcome, reason, run, at FROM slots"),
    }
