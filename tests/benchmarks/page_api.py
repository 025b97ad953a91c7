"""What the page's screens ask of the API: time of each call, its processor time, and how long it held the store."""

from __future__ import annotations

import http.client
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import orjson

from tests.benchmarks.figures import percentile
from tests.benchmarks.full_house import BUSY, DRIFT, EACH_KEY
from tests.benchmarks.timed_store import holds
from tests.waiting import until

if TYPE_CHECKING:
    from tests.benchmarks.full_house import FullHouse

ROUNDS = 20
AFTER = 0.02
"""Seconds between two calls, in which the daemon does what else it has to."""


FIXED = {
    "overview": "overview",
    "rules worst": "rules?order=worst&limit=100",
    "rules worst, cursor": "rules?order=worst&limit=100&cursor=4%20rule-05000",
    "rules by name": "rules?limit=100",
    "rules of a reason": "rules?order=worst&limit=100&state=waiting",
    "rules of a team": "rules?order=worst&limit=100&label=team%3Dteam-7",
    "rules named": "rules?order=worst&limit=100&name=777",
    "rule names": "rules?limit=1000",
    "facets": "rule-facets",
    "facets of a team": "rule-facets?label=team%3Dteam-7",
    "rule": f"rules/{BUSY}",
    "rule, source": f"rules/{BUSY}/source",
    "rule, pending": f"rules/{BUSY}/pending",
    "keys": f"rules/{EACH_KEY}/keys?limit=100",
    "pending of a key": f"rules/{EACH_KEY}/pending?key=model-00100",
    "pending events of a key": f"rules/{EACH_KEY}/pending/events?key=model-00100",
    "requests": f"rules/{BUSY}/requests",
    "decisions": f"decisions?rule={BUSY}",
    "runs": "runs",
    "runs of a rule": f"runs?rule={BUSY}&limit=200",
    "runs failed": "runs?phase=FAILED",
    "events": "events",
    "events of a rule": f"events?rule={DRIFT}",
    "events matched": "events?outcome=matched",
    "find an event": "events/find?text=id-500000",
    "find nothing": "events/find?text=no-such-thing",
    "dead letters": "dead-letters",
    "sources": "sources",
    "source": "sources/push",
    "upcoming": "upcoming",
    "limits": "limits",
    "activity": "activity",
    "session": "/-/session",
    "status": "status",
}


@dataclass(slots=True)
class Call:
    """Milliseconds of each call of one route. ``held``: the longest hold of the store in each, if it was timed."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    held: list[float] = field(default_factory=list)
    held_cpu: list[float] = field(default_factory=list)
    bytes: int = 0

    def to_json(self) -> dict[str, Any]:
        return {
            "p50_ms": round(percentile(self.wall, 0.5), 1),
            "p95_ms": round(percentile(self.wall, 0.95), 1),
            "cpu_ms": round(sum(self.cpu) / max(1, len(self.cpu)), 1),
            "held_p95_ms": round(percentile(self.held or [0.0], 0.95), 1),
            "held_cpu_p95_ms": round(percentile(self.held_cpu or [0.0], 0.95), 1),
            "kb": round(self.bytes / 1000, 1),
        }


def routes(house: FullHouse) -> dict[str, str]:
    """Return what the screens ask, by a name."""
    now = datetime.now(UTC)
    day, month, tomorrow, next_month = (quote((now + timedelta(days=n)).isoformat()) for n in (-1, -30, 1, 30))
    run = house.get(f"/api/v1/runs?rule={BUSY}&limit=1")["items"][0]["id"]
    event = house.get("/api/v1/events?limit=1")["items"][0]["seq"]
    return {
        **FIXED,
        "series, day": f"rules/{BUSY}/series?since={day}",
        "series, month": f"rules/{BUSY}/series?since={month}",
        "series of values, day": f"rules/{DRIFT}/series?since={day}",
        "series of values, month": f"rules/{DRIFT}/series?since={month}",
        "runs of a month": f"runs?since={month}&until={day}",
        "run": f"runs/{run}",
        "run, workflow": f"runs/{run}/workflow",
        "run, chain": f"runs/{run}/chain",
        "event": f"events/{event}",
        "density, day": f"events/density?since={day}",
        "density, month": f"events/density?since={month}",
        "upcoming, day": f"upcoming?until={tomorrow}",
        "upcoming, month": f"upcoming?until={next_month}",
    }


def learned(house: FullHouse, seconds: float = 300) -> tuple[float, float, Call]:
    """Ask for the overview each second until all verdicts are known.

    Return the seconds, the processor time, and the calls.
    """
    began, used, call = time.monotonic(), house.cpu_seconds(), Call()

    def is_known() -> bool:
        answer = _ask(house, "overview", call)
        time.sleep(1)  # as a page does that hears a hint each second
        verdicts = orjson.loads(answer)["verdicts"]
        return bool(verdicts["known"] == verdicts["rules"])

    until(is_known, "all verdicts are known", seconds)
    return time.monotonic() - began, house.cpu_seconds() - used, call


def measured(house: FullHouse) -> dict[str, Call]:
    """Ask each route `ROUNDS` times, all in turn, so that a disturbance of the machine hits all of them."""
    asked, calls = routes(house), {}
    for path in asked.values():
        _ask(house, path, Call())
    for _ in range(ROUNDS):
        for name, path in asked.items():
            began = time.time()
            call = calls.setdefault(name, Call())
            used = house.cpu_seconds()
            _ask(house, path, call)
            call.cpu.append(1000 * (house.cpu_seconds() - used))
            if house.timed:
                of_call = [hold for hold in holds(house.holds, began) if hold.of_request]
                call.held.append(max((hold.wall for hold in of_call), default=0.0))
                call.held_cpu.append(max((hold.cpu for hold in of_call), default=0.0))
            time.sleep(AFTER)
    return calls


def _ask(house: FullHouse, path: str, call: Call) -> bytes:
    conn = http.client.HTTPConnection("127.0.0.1", house.port, timeout=120)
    conn.connect()
    began = time.perf_counter()
    conn.request("GET", path if path.startswith("/") else f"/api/v1/{path}", headers={"accept": "application/json"})
    answer = conn.getresponse()
    body = answer.read()
    call.wall.append(1000 * (time.perf_counter() - began))
    call.bytes = len(body)
    conn.close()
    if answer.status != 200:
        raise RuntimeError(f"{path} answers {answer.status}: {body[:500]!r}")
    return body


def acted(house: FullHouse) -> dict[str, Call]:
    """Pause, resume and trigger 500 rules: the time of the request, and each hold of the store by the engine."""
    names = [rule["name"] for rule in house.get("/api/v1/rules?limit=500&name=rule-")["items"]]
    calls = {}
    for act, dry in (("pause", True), ("pause", False), ("resume", True), ("resume", False), ("trigger", True)):
        call = calls.setdefault(f"{act}{', dry run' if dry else ''}", Call())
        began, used = time.time(), house.cpu_seconds()
        answer = house.post("/api/v1/rule-acts", {"act": act, "rules": names, "dry_run": dry})
        if answer["refused"] and act != "trigger":  # shadow rules refuse it
            raise RuntimeError(f"{act} of 500 rules: {answer['refused']} refused, {answer['items'][0]}")
        call.wall.append(1000 * (time.time() - began))
        call.cpu.append(1000 * (house.cpu_seconds() - used))
        of_engine = [hold for hold in holds(house.holds, began) if not hold.of_request]
        call.held = [hold.wall for hold in of_engine] or [0.0]
        call.held_cpu = [hold.cpu for hold in of_engine] or [0.0]
    return calls
