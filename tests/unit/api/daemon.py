"""A fake context of the API on a store in memory, for tests of the web API and the CLI."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal

from starlette.responses import JSONResponse, Response

from retrainer.config.models import Rule
from retrainer.config.settings import Settings
from retrainer.engine.commands import operator_commands
from retrainer.engine.schedules import backfills
from retrainer.store import queries
from retrainer.store.pages import Page, PageRequest
from retrainer.workflows.base import StepOutput
from tests.unit.api.ledger import NOW, RUN, history

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.types import Receive, Scope, Send

    from retrainer.api.rule_listing import RuleQuery
    from retrainer.daemon.dependencies import Wait
    from retrainer.engine.core.notifications import ActRecorded
    from retrainer.engine.schedules.backfills import BackfillOrder
    from retrainer.workflows.base import OutputQuery, WorkflowNodes

RULE: dict[str, Any] = {
    "name": "churn",
    "triggers": {"new_data": {"data": {"source": "lake", "batch": {"debounce": "10m"}}}},
    "for_each": {"by": {"new_data": "event.data.customer"}},
    "submit": {"workflow_template": "churn-train"},
}
LEAF = {"name": "events", "state": "7", "detail": "pending", "children": []}
TREE = [{"name": "new_data", "state": "debounce", "detail": "quiet for 3 min of 10", "children": [LEAF]}]
_WHY = {3: "missed", 2: "ran: SUCCEEDED", 1: "no record"}
VERDICT = {"decision": "hold", "reason": "debounce", "until": NOW + 420}


class FakeRecorder:
    """Runs commands without recording them."""

    def __init__(self, act: Callable[..., Any]) -> None:
        self._act = act

    def __call__(self, command: Any, /, *args: Any, **options: Any) -> Any:
        return self._act(command, *args, **options)

    def outside(self, call: Callable[[], Any]) -> Any:
        return call()


class Daemon:
    """Has what `retrainer.api.context.ApiContext` has. `asked` records the commands, which are not executed."""

    def __init__(self, **http: Any) -> None:
        engine = {"type": "local", "templates": "templates", "runs": "runs"}
        self.settings = Settings.model_validate({"version": 1, "engine": engine, "http": http})
        self.memory = history()
        self.asked: list[tuple[Any, ...]] = []
        self.turned_away: list[tuple[str, int]] = []
        self.reasons: list[str] = []
        self.waits: list[Wait] = []
        self.hung: list[str] = []
        self.steps = [StepOutput("prepare", b"2 rows\n"), StepOutput("train", b"epoch 1\nepoch 2\n")]
        self.workflow: WorkflowNodes | None = None
        self.unread: Exception | None = None
        self.trouble: Exception | None = None
        self.idempotency: dict[str, dict[str, Any]] = {}
        self.changed = True
        self.by = ""
        self.looks = 0
        listing, keys = SimpleNamespace(page=self._page), SimpleNamespace(page=self._keys)
        self.rules = SimpleNamespace(listing=listing, detail=self._rule, explain=self._explain, keys=keys)
        self.sources = SimpleNamespace(summaries=list)
        self.certificate = None
        self.namespace = "default"
        self.engine = SimpleNamespace(
            standby=False,
            catalog=SimpleNamespace(rules={"churn": Rule.model_validate(RULE)}, pools={}),
            clock=SimpleNamespace(now=lambda: NOW, monotonic=time.monotonic),
            store=SimpleNamespace(read=self._read, size=lambda: 5),
        )
        exposition = b"# HELP retrainer_leader %b\n# TYPE retrainer_leader gauge\nretrainer_leader 1.0\n" % (
            b"-" * 2000
        )
        self.recorded: list[ActRecorded] = []
        self.activity = SimpleNamespace(refused=lambda act, logged: self.recorded.append(act))
        self.refused_tokens: list[tuple[str, str]] = []
        process = SimpleNamespace(refused=self._refused, refused_token=lambda *facts: self.refused_tokens.append(facts))
        self.metrics = SimpleNamespace(exposition=lambda: exposition, process=process)
        self._commands: dict[Any, Callable[..., Any]] = {
            operator_commands.trigger: self._trigger,
            operator_commands.preview: self._preview,
            operator_commands.pause: self._pause,
            operator_commands.resume: self._resume,
            operator_commands.cancel: self._cancel,
            operator_commands.retry: self._retry,
            operator_commands.replay_dead_letters: self._replay_dead_letters,
            operator_commands.discard_dead_letters: self._discard_dead_letters,
            backfills.preview: self._plan_backfill,
            backfills.ask: self._backfill,
            backfills.withdraw: self._withdraw,
        }

    def recording(self, act: ActRecorded) -> FakeRecorder:
        self.recorded.append(act)
        return FakeRecorder(self.act)

    def act(self, command: Any, /, *args: Any, **options: Any) -> Any:
        return self._commands[command](*args, **options)

    def read(self, query: Any, /, *args: Any, **filters: Any) -> Any:
        if query is backfills.progress:
            return self._backfill_progress(*args)
        return self._read(lambda conn: query(conn, *args, **filters))

    def _read(self, query: Callable[[Any], Any]) -> Any:
        if self.trouble is not None:
            raise self.trouble
        return self.memory.read(query)

    def leader(self) -> str:
        return ""

    def _page(self, query: RuleQuery) -> Page:
        self.asked.append(("rules", query))
        return Page([self._line()])

    def _rule(self, name: str, key: str = "") -> dict[str, Any]:
        self._known(name)
        configuration = Rule.model_validate(RULE).model_dump(mode="json", by_alias=True, exclude_defaults=True)
        return {**self._line(), "configuration": configuration, "explanation": self._explain(name, key, None)}

    def _line(self) -> dict[str, Any]:
        line = {"name": "churn", "mode": "active", "paused": False, "keys": 2, "verdict": "churn is held: debounce"}
        last = {"id": RUN.format(2), "phase": "FAILED", "ended_at": NOW + 64}
        return {**line, **VERDICT, "next_fire": NOW + 420, "last_run": last}

    def _known(self, rule: str) -> None:
        if rule != "churn":
            raise KeyError(f"there is no rule {rule!r}")

    def _keys(self, rule: str, page: PageRequest, prefix: str) -> Page:
        if rule != "churn":
            raise LookupError(f"there is no rule {rule!r}")
        found = self._read(lambda conn: queries.states(conn, rule, page, prefix))
        lines = [{**row, "verdict": "held", "decision": "hold", "reason": "debounce"} for row in found.items]
        return Page([{**line, "pending_events": 0} for line in lines], found.next)

    def _explain(self, rule: str, key: str, event: dict[str, Any] | None, at: float | None = None) -> dict[str, Any]:
        self._known(rule)
        self.asked.append(("explain", key, event, at))
        told = {"rule": rule, "key": key, "verdict": f"churn[{key}] is held: debounce", **VERDICT}
        conditions = [{"name": "source", "expected": "lake", "holds": True}]
        matched = [{"trigger": "new_data", "matches": True, "key": "de", "conditions": conditions}] if event else None
        return {**told, "earliest": NOW + 420, "tree": TREE, **({"event": matched} if matched else {})}

    def _key(self, rule: str, key: str) -> None:
        self._known(rule)
        if not key:
            raise ValueError("churn has keys (for_each): name one")

    def _preview(self, rule: str, key: str, parameters: dict[str, str]) -> dict[str, str]:
        self._key(rule, key)
        return parameters

    def workflow_of(self, parameters: dict[str, str]) -> dict[str, Any]:
        return {"kind": "Workflow", "spec": {"arguments": {"parameters": parameters}}}

    def _trigger(
        self, rule: str, key: str, parameters: dict[str, str], idempotency_key: str | None, by: str
    ) -> dict[str, Any]:
        self._key(rule, key)
        if key == "busy":
            return {"decision": "skip", "reason": "overlap", "detail": "a run is on its way", "run": None}
        if key == "resting":
            return {"decision": "hold", "reason": "cooldown", "detail": "for another hour", "run": None}
        if idempotency_key in self.idempotency:
            return self.idempotency[idempotency_key]
        self.by = by
        self.asked.append(("trigger", key, parameters))
        answer = {
            "decision": "fire",
            "reason": "manual",
            "run": {"id": RUN.format(3), "workflow": "churn-3", "parameters": parameters},
        }
        if idempotency_key is not None:
            self.idempotency[idempotency_key] = answer
        return answer

    def _plan_backfill(self, order: BackfillOrder) -> dict[str, Any]:
        self._known(order.rule)
        if order.trigger == "weekly":
            raise ValueError("churn has no schedule 'weekly'; it has nightly")
        slots = [{"trigger": "nightly", "slot": NOW - n * 86400, "runs": n != 2, "why": _WHY[n]} for n in (3, 2, 1)]
        told = {"rule": order.rule, "key": order.key, "request": None, "count": 2, "slots": slots, "gpu_hours": 4.5}
        told |= {"run_seconds": 3600.0, "last_start": NOW + 7200, "note": "if no other run starts in between"}
        if order.key == "paused":
            told |= {"held": {"reason": "paused", "detail": "resume it", "until": None}}
        return told

    def _backfill(self, order: BackfillOrder, idempotency_key: str | None) -> dict[str, Any]:
        planned = self._plan_backfill(order)
        self.asked.append(("backfill", order, idempotency_key))
        return planned | {"request": "B1"}

    def _backfill_progress(self, rule: str, key: str, request: str | None) -> dict[str, Any]:
        """Report more progress on each call."""
        self._known(rule)
        if request not in (None, "B1"):
            raise LookupError(f"there is no backfill {request} of churn")
        self.looks += 1
        states = ["succeeded" if self.looks > 1 else "running", "failed" if self.looks > 2 else "waiting"]
        moments = (NOW - 3 * 86400, NOW - 86400)
        slots = [{"trigger": "nightly", "slot": at, "state": s} for at, s in zip(moments, states, strict=True)]
        words = ("waiting", "running", "succeeded", "failed", "cancelled", "dropped")
        counts = {word: states.count(word) for word in words}
        told = {"rule": rule, "key": key, "request": "B1", "asked_at": NOW, "by": "anna", "total": 2, "slots": slots}
        return {**told, **counts, "ended": self.looks > 2}

    def _withdraw(self, rule: str, key: str, *, manual: bool) -> dict[str, Any]:
        self._known(rule)
        self.asked.append(("withdraw by hand" if manual else "withdraw", key))
        dropped, cancelled = (1, 2) if manual else (5, 1)
        return {"rule": rule, "key": key, "dropped": dropped, "cancelled": cancelled, "left": False}

    def _pause(self, rule: str, note: str) -> None:
        self._known(rule)
        self.asked.append(("pause", rule, note))

    def _resume(self, rule: str) -> None:
        self._known(rule)
        self.asked.append(("resume", rule))

    def _phase(self, run: str) -> str:
        found = self.memory.read(lambda conn: queries.run(conn, run))
        if found is None:
            raise LookupError(f"there is no run {run}")
        return str(found["phase"])

    def _cancel(self, run: str, strategy: Literal["Stop", "Terminate"], _by: str) -> None:
        if (phase := self._phase(run)) != "RUNNING":
            raise ValueError(f"run {run} has ended: {phase}")
        self.asked.append(("cancel", run, strategy))

    def _retry(self, run: str, _by: str, _idempotency_key: str | None) -> str:
        if (phase := self._phase(run)) != "FAILED":
            raise ValueError(f"run {run} is {phase}; only an ended run can be retried")
        self.asked.append(("retry", run))
        return RUN.format(3)

    def _replay_dead_letters(self, ids: list[int]) -> dict[str, Any]:
        failed = [{"id": n, "error": "it cannot be read as an event"} for n in ids if n == 1]
        return {"replayed": len(ids) - len(failed), "failed": failed, "left": []}

    def _discard_dead_letters(self, ids: list[int]) -> int:
        self.asked.append(("discard", ids))
        return len([n for n in ids if n in (1, 2)])

    def outputs(self, namespace: str, name: str, query: OutputQuery) -> Iterator[StepOutput]:
        self.asked.append(("outputs", namespace, name, query))
        if self.unread is not None:
            raise self.unread
        return iter(self.steps)

    def nodes(self, namespace: str, name: str) -> WorkflowNodes | None:
        self.asked.append(("nodes", namespace, name))
        if self.unread is not None:
            raise self.unread
        return self.workflow

    def reload(self) -> dict[str, Any]:
        return {"revision": "abc", "changed": self.changed, "problems": [], "dropped": []}

    def unready(self) -> list[str]:
        return self.reasons

    def waiting(self) -> list[Wait]:
        return self.waits

    def stuck(self) -> list[str]:
        return self.hung

    def _refused(self, door: str, status: int) -> None:
        self.turned_away.append((door, status))

    async def webhooks(self, scope: Scope, receive: Receive, send: Send) -> None:
        response: Response = JSONResponse({"path": scope["path"]}, 202)
        await response(scope, receive, send)
