"""Thirty days through a hundred rules: a million events from a file, and four series a rule from Prometheus."""

from __future__ import annotations

import random
import resource
import tempfile
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import orjson

from retrainer.simulate.simulation import Task, configuration_of, simulate
from tests.benchmarks.figures import Figure

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retrainer.simulate.outcome import Outcome

RULES, SERIES, DAYS, EVENTS, STEP = 100, 4, 30, 1_000_000, 60.0
START = 1_790_000_040.0
HIGH = 0.02
"""Share of the time that a series is above its threshold."""
GOAL = 120.0
PROCESSES = 2
_RULE = """\
  - name: rule-{n}
    triggers:
      new: {{data: {{source: push, match: {{model: m{n}}}, batch: {{at_least: {{events: 1000}}, max_wait: 7d}}}}}}
      drift:
        metric:
          {{source: prom, expr: psi, match: {{model: m{n}}}, above: 0.2, clear: 0.1, for: 30m, at_least: {{series: 2}}}}
    limits: {{cooldown: {{period: 6h}}}}
    submit: {{workflow_template: train, parameters: {{since: "${{window.start}}", why: "${{trigger.reason}}"}}}}
"""
_SOURCES = """\
version: 1
sources:
  push: {type: webhook, path: /hooks/push, token: {from_env: TOKEN}}
  prom: {type: prometheus, url: "http://127.0.0.1:1", polling_interval: 1m}
rules:
"""


def thirty_days() -> list[Figure]:
    """Seconds from reading the file to the result. The history is created in advance."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "rules.yaml").write_text(_SOURCES + "".join(_RULE.format(n=n) for n in range(RULES)))
        _write_events(folder / "events.jsonl")
        with _prometheus(_answers()) as url:
            until = START + DAYS * 86400
            task = Task(str(folder / "events.jsonl"), (str(folder / "rules.yaml"),), 3600.0, until, url)
            configuration, problems = configuration_of(task)
            assert not problems
            began, worked = time.perf_counter(), _processor_time()
            outcome = simulate(task, configuration, PROCESSES)
            seconds, worked = time.perf_counter() - began, _processor_time() - worked
    detail = {**_detail(outcome), "processor_seconds": round(worked, 1), "largest_process_mb": _largest()}
    return [Figure("simulate_30_days", round(seconds, 1), "s", _method(), goal=GOAL, detail=detail)]


def _processor_time() -> float:
    """CPU time of this process, with the fake Prometheus, and of the simulating processes."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _largest() -> int:
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024


def _method() -> str:
    return (
        f"{DAYS} days of {RULES} rules: {EVENTS} data events out of a file, {SERIES} series a rule, one value a "
        f"minute, out of an HTTP server that answers as Prometheus does, {PROCESSES} processes. A series is above its "
        f"threshold for about {HIGH:.0%} of the time, in stretches of half an hour to twelve hours; a rule needs two "
        f"of its four at once, or 1,000 events, and rests for six hours. With the time to read the file, to ask the "
        f"server and to put the result together; without the tables that people see."
    )


def _detail(outcome: Outcome) -> dict[str, Any]:
    folded = sum(decision.times for decision in outcome.decisions)
    return {"runs": len(outcome.runs), "decisions": folded, "polls": int(DAYS * 86400 / STEP)}


def _write_events(path: Path) -> None:
    pick = random.Random(1)
    with path.open("wb") as file:
        for n in range(EVENTS):
            at = round(START + DAYS * 86400 * n / EVENTS, 3)
            data = {"model": f"m{pick.randrange(RULES)}", "rows": 100, "path": f"part-{n}.parquet"}
            file.write(
                orjson.dumps({"source": "push", "type": "json", "id": f"e{n}", "time": at, "data": data}) + b"\n"
            )


def _answers() -> list[list[str]]:
    """Values in Prometheus' format for each series in turn: low, and sometimes above the threshold."""
    pick = random.Random(2)
    return [_walk(pick, int(DAYS * 86400 / STEP) + 1) for _ in range(RULES * SERIES)]


def _walk(pick: random.Random, count: int) -> list[str]:
    values: list[str] = []
    while len(values) < count:
        level = 0.3 if pick.random() < HIGH else 0.03
        values += [f"{level + pick.random() / 20:.6f}" for _ in range(pick.randint(30, 720))]
    return values[:count]


@contextmanager
def _prometheus(values: list[list[str]]) -> Iterator[str]:
    """Answers range queries. Each answer is built once, because both processes request it."""
    made: dict[tuple[str, str], bytes] = {}
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            asked = form["start"][0], form["end"][0]
            with lock:
                body = made.get(asked) or made.setdefault(asked, _answer(values, *map(float, asked)))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _answer(values: list[list[str]], start: float, end: float) -> bytes:
    first, last = round((start - START) / STEP), round((end - START) / STEP)
    times = [START + i * STEP for i in range(first, last + 1)]
    result = [
        {
            "metric": {"model": f"m{n // SERIES}", "pod": str(n % SERIES)},
            "values": list(zip(times, series[first : last + 1], strict=True)),
        }
        for n, series in enumerate(values)
    ]
    return orjson.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}})
