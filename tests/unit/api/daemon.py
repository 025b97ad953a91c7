"""A fake service on a store in memory, for tests of the web API and the CLI."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from starlette.responses import JSONResponse, Response

from retrainer.config.models import Rule
from retrainer.config.settings import Settings
from retrainer.store import queries
from retrainer.store.queries import Page
from tests.unit.api.ledger import NOW, RUN, history

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection
    from starlette.types import ASGIApp, Receive, Scope, Send

    from retrainer.api.service import RuleQuery
    from retrainer.daemon.dependencies import Wait
    from retrainer.engine.schedules.backfills import BackfillOrder

T = TypeVar("T")
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


class Daemon:
    """Implements `retrainer.api.service.Service`. `asked` records the calls."""

    def __init__(self, **http: Any) -> None:
        engine = {"type": "local", "templates": "templates", "runs": "runs"}
        self.settings = Settings.model_validate({"version": 1, "engine": engine, "http": http})
        self.memory = history()
        self.asked: list[tuple[Any, ...]] = []
        self.turned_away: list[tuple[str, int]] = []
        self.reasons: list[str] = []
        self.waits: list[Wait] = []
        self.stuck: list[str] = []
        self.trouble: Exception | None = None
        self.idempotency: dict[str, dict[str, Any]] = {}
        self.changed = True
        self.by = ""
        self.looks = 0

    def read(self, fn: Callable[[Connection], T]) -> T:
        if self.trouble is not None:
            raise self.trouble
        return self.memory.read(fn)

    def leader(self) -> str:
        return ""

    def configuration(self) -> Any:
        return SimpleNamespace(rules=(Rule.model_validate(RULE),), sources={}, pools={}, revision="abc")

    def rules(self, query: RuleQuery) -> Page:
        self.asked.append(("rules", query))
        return Page([self._line()])

    def rule(self, name: str) -> dict[str, Any]:
        self._known(name)
        rule = Rule.model_validate(RULE)
        return {**self._line(), "configuration": rule.model_dump(mode="json", by_alias=True, exclude_defaults=True)}

    def _line(self) -> dict[str, Any]:
        line = {"name": "churn", "mode": "active", "paused": False, "keys": 2, "verdict": "churn is held: debounce"}
        last = {"id": RUN.format(2), "phase": "FAILED", "ended_at": NOW + 64}
        return {**line, **VERDICT, "next_fire": NOW + 420, "last_run": last}

    def _known(self, rule: str) -> None:
        if rule != "churn":
            raise KeyError(f"there is no rule {rule!r}")

    def explain(self, rule: str, key: str, event: dict[str, Any] | None, at: float | None = None) -> dict[str, Any]:
        self._known(rule)
        self.asked.append(("explain", key, event, at))
        told = {"rule": rule, "key": key, "verdict": f"churn[{key}] is held: debounce", **VERDICT}
        conditions = [{"name": "source", "expected": "lake", "holds": True}]
        matched = [{"trigger": "new_data", "matches": True, "key": "de", "conditions": conditions}] if event else None
        return {**told, "earliest": NOW + 420, "tree": TREE, **({"event": matched} if matched else {})}

    def trigger(
        self, rule: str, key: str, parameters: dict[str, str], *, by: str, dry_run: bool, idempotency_key: str | None
    ) -> dict[str, Any]:
        self._known(rule)
        if not key:
            raise ValueError("churn has keys (for_each): name one")
        if key == "busy":
            return {"decision": "skip", "reason": "overlap", "detail": "a run is on its way", "run": None}
        if key == "resting":
            return {"decision": "hold", "reason": "cooldown", "detail": "for another hour", "run": None}
        if dry_run:
            manifest = {"kind": "Workflow", "spec": {"arguments": {"parameters": parameters}}}
            return {"decision": "fire", "reason": "manual", "run": None, "manifest": manifest}
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

    def waits_for(self, run_id: str) -> dict[str, Any] | None:
        return None

    def withdraw_triggers(self, rule: str, key: str) -> dict[str, Any]:
        self._known(rule)
        self.asked.append(("withdraw by hand", key))
        return {"rule": rule, "key": key, "dropped": 1, "cancelled": 2}

    def backfill(self, order: BackfillOrder, *, dry_run: bool, idempotency_key: str | None) -> dict[str, Any]:
        self._known(order.rule)
        if order.trigger == "weekly":
            raise ValueError("churn has no schedule 'weekly'; it has nightly")
        slots = [{"trigger": "nightly", "slot": NOW - n * 86400, "runs": n != 2, "why": _WHY[n]} for n in (3, 2, 1)]
        told = {"rule": order.rule, "key": order.key, "request": None, "count": 2, "slots": slots, "gpu_hours": 4.5}
        told |= {"run_seconds": 3600.0, "last_start": NOW + 7200, "note": "if no other run starts in between"}
        if order.key == "paused":
            told |= {"held": {"reason": "paused", "detail": "resume it", "until": None}}
        if dry_run:
            return told
        self.asked.append(("backfill", order, idempotency_key))
        return told | {"request": "B1"}

    def backfill_progress(self, rule: str, key: str, request: str | None) -> dict[str, Any]:
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

    def withdraw_backfills(self, rule: str, key: str) -> dict[str, Any]:
        self._known(rule)
        self.asked.append(("withdraw", key))
        return {"rule": rule, "key": key, "dropped": 5, "cancelled": 1}

    def pause(self, rule: str, note: str) -> None:
        self._known(rule)
        self.asked.append(("pause", rule, note))

    def resume(self, rule: str) -> None:
        self._known(rule)
        self.asked.append(("resume", rule))

    def _phase(self, run: str) -> str:
        found = self.memory.read(lambda conn: queries.run(conn, run))
        if found is None:
            raise LookupError(f"there is no run {run}")
        return str(found["phase"])

    def cancel(self, run: str, strategy: Literal["Stop", "Terminate"]) -> dict[str, Any]:
        if (phase := self._phase(run)) != "RUNNING":
            raise ValueError(f"run {run} has ended: {phase}")
        self.asked.append(("cancel", run, strategy))
        return {"id": run}

    def retry(self, run: str) -> dict[str, Any]:
        if (phase := self._phase(run)) != "FAILED":
            raise ValueError(f"run {run} is {phase}; only an ended run can be retried")
        self.asked.append(("retry", run))
        return {"id": RUN.format(3)}

    def replay_dead_letters(self, ids: list[int]) -> dict[str, Any]:
        failed = [{"id": n, "error": "it cannot be read as an event"} for n in ids if n == 1]
        return {"replayed": len(ids) - len(failed), "failed": failed}

    def discard_dead_letters(self, ids: list[int]) -> int:
        self.asked.append(("discard", ids))
        return len([n for n in ids if n in (1, 2)])

    def reload(self) -> dict[str, Any]:
        return {"revision": "abc", "changed": self.changed, "problems": [], "dropped": []}

    def ready(self) -> list[str]:
        return self.reasons

    def waiting(self) -> list[Wait]:
        return self.waits

    def health(self) -> list[str]:
        return self.stuck

    def metrics(self) -> bytes:
        return b"# TYPE retrainer_leader gauge\nretrainer_leader 1.0\n"

    def refused(self, door: str, status: int) -> None:
        self.turned_away.append((door, status))

    def webhooks(self) -> ASGIApp | None:
        async def hook(scope: Scope, receive: Receive, send: Send) -> None:
            response: Response = JSONResponse({"path": scope["path"]}, 202)
            await response(scope, receive, send)

        return hook
