"""`retrainer simulate`, as users use it when they change rules."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest
from click.testing import CliRunner, Result

from retrainer.cli.main import main
from retrainer.simulate.history import open_history
from retrainer.simulate.outcome import joined, read
from retrainer.simulate.player import Player
from retrainer.simulate.simulation import Reached, Task, configuration_of, shares, simulate
from retrainer.store.sqlite_file import in_use
from retrainer.store.statements import store_good
from tests.unit.simulate.live import RULES, Live, rules_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START = "2026-03-02T08:00:00Z"


def rules(folder: Path, name: str, events: int, cooldown: str = "1m") -> str:
    (folder / name).write_text(
        "version: 1\n"
        "sources: {push: {type: webhook, path: /hooks/push, token: {from_env: NOT_SET_ANYWHERE}}}\n"
        "rules:\n"
        "  - name: churn\n"
        f"    triggers: {{new: {{data: {{source: push, batch: {{at_least: {{events: {events}}}}}}}}}}}\n"
        f"    limits: {{cooldown: {{period: {cooldown}}}}}\n    submit: {{workflow_template: train}}\n"
    )
    return str(folder / name)


def events(folder: Path, count: int = 6) -> str:
    lines = [
        {"source": "push", "type": "json", "time": f"2026-03-02T{8 + n:02}:00:00Z", "data": {}} for n in range(count)
    ]
    (folder / "events.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    return str(folder / "events.jsonl")


def run(*args: str, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["simulate", *args])
    assert result.exit_code == code, (result.output, result.exception)
    return result


def told(*args: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(run(*args, "-o", "json").stdout)
    return answer


def test_events_through_two_sets_of_rules(tmp_path: Path) -> None:
    old, new = rules(tmp_path, "old.yaml", 2), rules(tmp_path, "new.yaml", 3)
    answer = told("--events", events(tmp_path), "--current", old, "--rules", new, "--run-duration", "30m")
    (sums,) = answer["rules"]
    assert (sums["current"]["runs"], sums["proposed"]["runs"]) == (3, 2)
    assert (sums["proposed"]["run_hours"], sums["proposed"]["phases"]) == (0.5, {"SUCCEEDED": 1, "SUBMITTED": 1})
    first = answer["differences"][0]
    assert (first["at"], first["run"], first["reason"]) == ("2026-03-02T09:00:00.000Z", "gone", "batch_complete")
    assert first["why"] == "hold batch_incomplete: new: 2 of 3 events so far"
    assert answer["runs"]["proposed"][0]["ended_at"] == "2026-03-02T10:30:00.000Z"
    printed = run("--events", events(tmp_path), "--current", old, "--rules", new).stdout
    assert "RUNS CURRENT" in printed
    assert "hold batch_incomplete: new: 2 of 3 events so far" in printed


def test_progress_tells_the_share_of_the_time_and_the_events(tmp_path: Path) -> None:
    task = Task(events(tmp_path), (rules(tmp_path, "new.yaml", 2),), 60.0, float("inf"))
    heard: list[Reached] = []
    simulate(task, configuration_of(task)[0], 1, heard.append)
    assert [one.share for one in heard] == sorted(one.share for one in heard)
    assert (heard[-1].share, heard[-1].events) == (1.0, 6)
    assert all(one.at == 1_772_438_400 + one.share * 5 * 3600 for one in heard)


def test_rules_that_mean_the_same_differ_in_no_run(tmp_path: Path) -> None:
    old, new = rules(tmp_path, "old.yaml", 2), rules(tmp_path, "new.yaml", 2)
    assert "no run differs" in run("--events", events(tmp_path), "--current", old, "--rules", new).stdout


def test_only_a_stretch_is_counted_and_what_was_before_it_still_weighs(tmp_path: Path) -> None:
    new = rules(tmp_path, "new.yaml", 4)
    answer = told("--events", events(tmp_path), "--rules", new, "--since", "2026-03-02T10:30:00Z")
    assert [r["at"] for r in answer["runs"]["proposed"]] == ["2026-03-02T11:00:00.000Z"]
    until = ["--until", "2026-03-02T10:30:00Z"]
    assert told("--events", events(tmp_path), "--rules", new, *until)["runs"] == {"proposed": []}


WRONG = [
    pytest.param("not json", "events.jsonl:1: not JSON", id="no JSON"),
    pytest.param("[1]", "events.jsonl:1: not a JSON object", id="no object"),
    pytest.param('{"time": 1}', "events.jsonl:1: `source` is missing", id="no source"),
    pytest.param('{"source": "push", "time": "noon"}', "'noon' is not a time", id="no moment"),
    pytest.param(
        '{"source": "push", "time": 2}\n{"source": "push", "time": 1}', "earlier than the line before", id="order"
    ),
    pytest.param('{"source": "push", "time": 1790812800000}', "jsonl:1: time 1790812800000 is after", id="ms"),
    pytest.param(
        '{"source": "push", "time": 1}\n{"source": "push", "time": 1790812800000}\n{"source": "push", "time": 3}',
        "events.jsonl:2: time 1790812800000 is after the year 2100; are these milliseconds?",
        id="milliseconds in the middle",
    ),
    pytest.param('{"source": "push", "time": 5, "at": 1790812800000}', "milliseconds?", id="arrival in milliseconds"),
    pytest.param('{"source": "push", "time": -5}', "time -5 is before 1970", id="before 1970"),
    pytest.param('{"source": "push", "time": true}', "a time is a boolean", id="a time that is none"),
    pytest.param('{"source": "push", "time": 1, "data": [1]}', "`data` is a list", id="data that is a list"),
    pytest.param('{"source": "push", "time": 1, "attributes": 5}', "`attributes` is a whole", id="attributes"),
    pytest.param('{"source": 5, "time": 1}', "`source` is a whole number", id="a source without a name"),
    pytest.param('{"table": "events", "row": {"seq": 1}}', "events.jsonl:1: `at` is missing", id="half a row"),
    pytest.param('{"table": "runs", "row": {"id": "r"}}', "`rule` is missing", id="half a run"),
    pytest.param('{"source": "pusch", "time": 1}', "the source `pusch` (did you mean `push`?)", id="misspelt source"),
    pytest.param(
        '{"source": "push", "time": 1}\n{"source": "pusch", "time": 2}\n{"source": "push", "time": 3}',
        "event line-2: no rule file defines the source `pusch`",
        id="misspelt source in the middle",
    ),
]


def test_a_source_that_only_one_side_has_is_no_stranger(tmp_path: Path) -> None:
    new, old = rules(tmp_path, "new.yaml", 2), rules(tmp_path, "old.yaml", 2)
    text = (tmp_path / "old.yaml").read_text().replace("push", "pull")
    (tmp_path / "old.yaml").write_text(text)
    answer = told("--events", events(tmp_path), "--rules", new, "--current", old)
    assert (len(answer["runs"]["current"]), len(answer["runs"]["proposed"])) == (0, 3)


def test_a_store_that_a_daemon_has_open_is_left_alone(tmp_path: Path) -> None:
    opens = "from retrainer.store.sqlite import SqliteStore; SqliteStore.open({!r}); print(flush=True); input()"
    code = opens.format(str(tmp_path / "s.db"))
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as daemon:
        assert daemon.stdout is not None
        daemon.stdout.readline()
        said = run("--store", str(tmp_path / "s.db"), "--rules", rules(tmp_path, "r.yaml", 2), code=1).stderr
        assert "it is open in a running daemon" in said
        assert "or use a copy" in said
        daemon.communicate(b"\n", timeout=20)
    assert not in_use(tmp_path / "s.db")
    run("--store", str(tmp_path / "s.db"), "--rules", rules(tmp_path, "r.yaml", 2))


def test_a_store_with_events_of_sources_that_are_gone_says_so(tmp_path: Path) -> None:
    live = Live(tmp_path / "live.db", rules_in(tmp_path), seed=3)
    live.live(20)
    live.close()
    said = run("--store", str(tmp_path / "live.db"), "--rules", rules(tmp_path, "r.yaml", 2)).stderr
    assert "left out: events of sources that are in no rule file: " in said


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_a_file_that_is_wrong_says_where(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "events.jsonl").write_text(text)
    new = rules(tmp_path, "new.yaml", 2)
    assert message in run("--events", str(tmp_path / "events.jsonl"), "--rules", new, code=1).stderr


def test_a_history_without_rules_needs_some(tmp_path: Path) -> None:
    assert "name rules with --current or --rules" in run("--events", events(tmp_path), code=1).stderr
    assert "give one history" in run("--rules", rules(tmp_path, "new.yaml", 2), code=2).stderr


def test_a_store_has_its_rules_and_an_export_says_the_same(tmp_path: Path) -> None:
    live = Live(tmp_path / "live.db", rules_in(tmp_path), seed=3)
    with live.store.write() as conn:
        store_good(conn, {"/rules.yaml": RULES}, {"/rules.yaml": "h"}, 0.0)
    live.live(100)
    live.close()
    answer = told("--store", str(tmp_path / "live.db"))
    assert {sums["rule"] for sums in answer["rules"]} == {"plain", "keyed", "drift", "follower"}
    CliRunner().invoke(main, ["store", "export", str(tmp_path / "live.db"), "--to", str(tmp_path / "out.jsonl")])
    assert told("--events", str(tmp_path / "out.jsonl")) == answer


def test_independent_rules_may_be_split(tmp_path: Path) -> None:
    configuration = rules_in(tmp_path)
    assert sorted(sorted(share) for share in shares(configuration, 2)) == [["drift", "follower"], ["keyed", "plain"]]
    live = Live(tmp_path / "live.db", configuration, seed=5)
    live.live(150)
    live.close()
    task = Task(str(tmp_path / "live.db"), (str(tmp_path / "rules.yaml"),), 3600.0, float("inf"))
    player = Player(configuration, open_history(task.history), run_duration=3600.0)
    player.play()
    assert simulate(task, configuration, 2) == joined([read(player.world.store)])
    player.world.close()


class _Prometheus(BaseHTTPRequestHandler):
    """Has a metric that crosses its threshold after half an hour."""

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        first, last = float(form["start"][0]), float(form["end"][0])
        moments = [first + 60 * n for n in range(int((last - first) / 60) + 1)]
        values = [[at, "0.3" if at >= 1_772_440_200 else "0.05"] for at in moments]
        found = [{"metric": {"__name__": "psi", "model": m}, "values": values} for m in ("churn", "basket")]
        answer = {"status": "success", "data": {"resultType": "matrix", "result": found}}
        if form["query"] != ["psi"]:
            answer = {"status": "error", "error": "no such thing"}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def prometheus() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Prometheus)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def drift(folder: Path, expr: str = "psi") -> str:
    (folder / "drift.yaml").write_text(
        "version: 1\n"
        'sources: {prom: {type: prometheus, url: "http://127.0.0.1:1", polling_interval: 1m}}\n'
        "rules:\n  - name: churn\n    triggers:\n      drift:\n"
        f"        metric: {{source: prom, expr: {expr}, match: {{model: churn}}, above: 0.2, for: 10m, jitter: 0s}}\n"
        "    submit: {workflow_template: train}\n"
    )
    return str(folder / "drift.yaml")


def test_metrics_that_were_never_polled_are_looked_up(tmp_path: Path, prometheus: str) -> None:
    more = ["--prometheus", prometheus, "--until", "2026-03-02T13:00:00Z"]
    answer = told("--events", events(tmp_path), "--rules", drift(tmp_path), *more)
    (one,) = answer["runs"]["proposed"]
    assert (one["at"], one["reason"]) == ("2026-03-02T08:40:00.000Z", "threshold")
    assert told("--events", events(tmp_path), "--rules", drift(tmp_path))["runs"]["proposed"] == []


def test_a_prometheus_that_does_not_answer_is_no_quiet_metric(tmp_path: Path, prometheus: str) -> None:
    wrong = ["--events", events(tmp_path), "--rules", drift(tmp_path, "pis")]
    assert "pis: no such thing" in run(*wrong, "--prometheus", prometheus, code=1).stderr
    assert "is --prometheus right?" in run(*wrong, "--prometheus", "http://127.0.0.1:9", code=1).stderr
