"""A range query of Prometheus gives the values that the source would have polled."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import pytest
from click.testing import CliRunner

from retrainer.cli.main import main
from retrainer.config.models import PrometheusSource
from retrainer.simulate.lookup import RecordedMemory
from retrainer.simulate.ranges import Range
from retrainer.simulate.world import ManualClock
from retrainer.sources.base import Query
from retrainer.sources.prometheus.poll import Poll

if TYPE_CHECKING:
    from collections.abc import Iterator

START = 1_772_438_400.0
SECRET = "sesame-open-the-door"


def gauges(expr: str, at: float) -> list[tuple[dict[str, str], float]]:
    """Series at one time: psi is pushed every five minutes and repeated as if it were new; b is absent at times."""
    minute = round((at - START) / 60)
    if expr == "pushed":
        a = [({"__name__": "pushed", "model": "a"}, at - 60 * (minute % 5))]
        odd = [({"__name__": "pushed", "model": "b"}, at + 9e5)] if minute in (7, 8) else []
        return a + odd
    a = [({"__name__": "psi", "model": "a", "pod": "x"}, 0.3 if minute >= 10 else 0.05)]
    return a + ([({"__name__": "psi", "model": "b"}, float("nan"))] if minute % 4 else [])


class Prometheus(BaseHTTPRequestHandler):
    """Answers instant and range queries from `gauges`, for requests with the secret."""

    def do_POST(self) -> None:
        form = {n: v[0] for n, v in parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()).items()}
        if self.headers["Authorization"] != f"Bearer {SECRET}":
            self._answer(401, {})
        elif self.path.endswith("/query"):
            at = float(form["time"])
            found = [{"metric": labels, "value": [at, str(v)]} for labels, v in gauges(form["query"], at)]
            self._answer(200, {"status": "success", "data": {"resultType": "vector", "result": found}})
        else:
            self._answer(200, {"status": "success", "data": {"resultType": "matrix", "result": self._matrix(form)}})

    def _matrix(self, form: dict[str, str]) -> list[dict[str, Any]]:
        start, end, step = float(form["start"]), float(form["end"]), float(form["step"])
        series: dict[str, dict[str, Any]] = {}
        for at in (start + i * step for i in range(int((end - start) / step) + 1)):
            for labels, value in gauges(form["query"], at):
                one = series.setdefault(json.dumps(labels), {"metric": labels, "values": []})
                one["values"].append([at, str(value)])
        return list(series.values())

    def _answer(self, status: int, said: dict[str, Any]) -> None:
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("PROM_TOKEN", SECRET)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Prometheus)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def source(url: str) -> PrometheusSource:
    return PrometheusSource.model_validate(
        {"type": "prometheus", "url": url, "polling_interval": "1m", "token": {"from_env": "PROM_TOKEN"}}
    )


@pytest.mark.parametrize("sample_time", [None, "pushed"])
def test_it_is_what_polls_would_have_found(url: str, sample_time: str | None) -> None:
    memory = RecordedMemory("prom", source(url), Path())
    found = memory.fetch(Range("prom", "psi", START, 60.0, 20, (), sample_time), lambda _: True)
    memory.close()
    for i in range(found.count):
        with Poll("prom", source(url), Path(), ManualClock(found.at(i)), 60.0) as poll:
            polled = poll.event(Query("psi", sample_time)).data
        record = found.record(i).event
        assert record is not None
        assert record.data == polled, i


def files(folder: Path, url: str) -> list[str]:
    (folder / "rules.yaml").write_text(
        "version: 1\nsources:\n"
        f"  prom: {{type: prometheus, url: '{url}', polling_interval: 1m, token: {{from_env: PROM_TOKEN}}}}\n"
        "rules:\n  - name: churn\n    triggers:\n      drift:\n"
        "        metric: {source: prom, expr: psi, match: {model: a}, above: 0.2, jitter: 0s,"
        " sample_time: pushed, max_sample_age: 1h}\n"
        "    submit: {workflow_template: train}\n"
    )
    (folder / "events.jsonl").write_text(json.dumps({"source": "push", "time": START, "data": {}}))
    more = ["--until", "2026-03-02T08:30:00Z", "-o", "json"]
    return ["simulate", "--events", str(folder / "events.jsonl"), "--rules", str(folder / "rules.yaml"), *more]


def test_the_source_s_own_url_and_token_are_used(tmp_path: Path, url: str) -> None:
    told = CliRunner().invoke(main, [*files(tmp_path, url), "--prometheus"])
    assert told.exit_code == 0, told.output
    (run,) = json.loads(told.stdout)["runs"]["proposed"]
    assert (run["at"], run["reason"]) == ("2026-03-02T08:10:00.000Z", "threshold")


WRONG = [
    pytest.param("wrong", "", "it answers 401; are token or basic of source prom right?", id="another token"),
    pytest.param(None, "", "source prom: it cannot be queried: ", id="no token"),
    pytest.param(SECRET, "localhost", "They are sent only to its own url", id="another host"),
]


@pytest.mark.parametrize(("token", "host", "message"), WRONG)
def test_who_may_not_ask_is_told_so(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch, token: str | None, host: str, message: str
) -> None:
    (monkeypatch.setenv("PROM_TOKEN", token) if token is not None else monkeypatch.delenv("PROM_TOKEN"))
    elsewhere = [url.replace("127.0.0.1", host)] if host else []
    told = CliRunner().invoke(main, [*files(tmp_path, url), "--prometheus", *elsewhere])
    assert told.exit_code == 1
    assert message in told.stderr
    assert SECRET not in told.output
