"""Tracing from event to Workflow, with a daemon as users run it and a collector that speaks OTLP."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from retrainer.telemetry.trace_context import TraceContext, of_event, parse, span_of, trace_of
from tests.houses.collector import Collector, attributes
from tests.houses.daemon import DaemonProcess
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SENDER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OTHER = "00-0af7651916cd43dd8448eb211c80319d-b7ad6b7169203332-01"
UNSAMPLED = "00-0af7651916cd43dd8448eb211c80319e-b7ad6b7169203333-00"
CLOUDEVENT = "application/cloudevents+json"
TEMPLATE = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "WorkflowTemplate",
    "metadata": {"name": "train"},
    "spec": {
        "entrypoint": "main",
        "templates": [{"name": "main", "container": {"image": "none", "command": ["sh", "-c", "sleep ${PAUSE:-0}"]}}],
    },
}


def rules(events: int, command: str = "true") -> dict[str, Any]:
    TEMPLATE["spec"]["templates"][0]["container"]["command"] = ["sh", "-c", command]  # type: ignore[index]
    batch = {"at_least": {"events": events}}
    return {
        "version": 1,
        "sources": {
            "push": {"type": "webhook", "path": "/hooks/push", "format": "cloudevents"},
            "plain": {"type": "webhook", "path": "/hooks/plain", "format": "json"},
        },
        "rules": [
            {
                "name": "churn",
                "triggers": {
                    "new": {"data": {"source": "push", "batch": batch}},
                    "plain": {"data": {"source": "plain", "batch": batch}},
                },
                "submit": {"workflow_template": "train"},
            }
        ],
    }


class Traced(DaemonProcess):
    def __init__(self, folder: Path, tracing: dict[str, Any] | None, events: int = 1, command: str = "true") -> None:
        for name, content in (("rules", rules(events, command)), ("templates", TEMPLATE)):
            (folder / name).mkdir()
            (folder / name / "one.yaml").write_text(json.dumps(content))
        engine = {"type": "local", "templates": "templates", "runs": "runs"}
        settings = {"version": 1, "rules": ["rules"], "engine": engine, "http": {"port": 0}, "store": {"path": "db"}}
        super().__init__(folder, settings | ({"tracing": tracing} if tracing is not None else {}))

    def push(self, event: str, context: str | None = None, **headers: str) -> None:
        content = {"specversion": "1.0", "id": event, "source": "/test", "type": "rows", "data": {"rows": 1}}
        content |= {"traceparent": context} if context else {}
        answer = self.http.post(
            "/hooks/push", content=json.dumps(content), headers={"Content-Type": CLOUDEVENT, **headers}
        )
        assert answer.status_code == 202, answer.text

    def ended(self) -> dict[str, Any]:
        until(lambda: any(run["ended_at"] for run in self.items("runs")), "the run has ended", 60)
        return self.items("runs")[0]


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture
def daemons() -> Iterator[list[Traced]]:
    started: list[Traced] = []
    yield started
    for daemon in started:
        daemon.close()


def start(daemons: list[Traced], folder: Path, tracing: dict[str, Any] | None, **options: Any) -> Traced:
    environment = options.pop("environment", {})
    daemon = Traced(folder, tracing, **options)
    daemons.append(daemon)
    daemon.start(OTEL_BSP_SCHEDULE_DELAY="100", **environment)
    return daemon


def test_from_event_to_workflow(daemons: list[Traced], tmp_path: Path, collector: Collector) -> None:
    daemon = start(daemons, tmp_path, {"endpoint": collector.url})
    daemon.push("1", SENDER)
    run = daemon.ended()
    until(lambda: collector.named("retrain churn"), "the span of the run", 30)
    until(lambda: collector.named("receive push"), "the span of the event", 30)
    (received,), (root,) = collector.named("receive push"), collector.named("retrain churn")
    sender = parse(SENDER)
    assert sender is not None
    assert (int.from_bytes(received.trace_id), int.from_bytes(received.parent_span_id)) == (sender.trace, sender.span)
    assert attributes(received)["retrainer.outcome"] == "matched"
    assert [link.trace_id for link in root.links] == [received.trace_id]
    assert (int.from_bytes(root.trace_id), root.parent_span_id) == (trace_of(run["id"]), b"")
    parts = {span.name: span for span in collector.spans if span.parent_span_id == root.span_id}
    assert set(parts) == {"decision", "submission", "workflow"}
    assert all(span.trace_id == root.trace_id for span in parts.values())
    assert parts["decision"].end_time_unix_nano == parts["submission"].start_time_unix_nano
    assert parts["submission"].start_time_unix_nano < parts["workflow"].end_time_unix_nano == root.end_time_unix_nano
    (counted,) = collector.named("counted for churn")
    assert counted.trace_id == received.trace_id
    assert [link.span_id for link in counted.links] == [root.span_id]
    assert attributes(root)["retrainer.phase"] == "SUCCEEDED"
    assert collector.resources[0]["service.name"] == "retrainer"


def test_the_workflow_has_the_context(daemons: list[Traced], tmp_path: Path, collector: Collector) -> None:
    daemon = start(daemons, tmp_path, {"endpoint": collector.url})
    daemon.push("1")
    run = daemon.ended()["id"]
    (workflow,) = tmp_path.glob("runs/*/*/workflow.*")
    assert TraceContext(trace_of(run), span_of(run, "workflow"), sampled=True).header in workflow.read_text()


def test_a_batch_links_to_each_sender(daemons: list[Traced], tmp_path: Path, collector: Collector) -> None:
    daemon = start(daemons, tmp_path, {"endpoint": collector.url}, events=4)
    for event, context in (("1", SENDER), ("2", OTHER), ("3", UNSAMPLED), ("4", None)):
        daemon.push(event, context)
    daemon.ended()
    until(lambda: collector.named("retrain churn"), "the span of the run", 30)
    (root,) = collector.named("retrain churn")
    linked = {link.trace_id.hex() for link in root.links}
    assert linked == {context[3:35] for context in (SENDER, OTHER, UNSAMPLED)}
    until(lambda: len(collector.named("receive push")) >= 2, "the spans of sampled events", 30)
    assert {span.trace_id.hex() for span in collector.named("receive")} == {SENDER[3:35], OTHER[3:35]}


def test_links_have_a_limit(daemons: list[Traced], tmp_path: Path, collector: Collector) -> None:
    daemon = start(daemons, tmp_path, {"endpoint": collector.url}, events=150)
    event = {"specversion": "1.0", "source": "/test", "type": "rows", "data": {"rows": 1}}
    events = [event | {"id": str(i), "traceparent": f"00-{i + 1:032x}-{i + 1:016x}-01"} for i in range(150)]
    content = {"Content-Type": "application/cloudevents-batch+json"}
    assert daemon.http.post("/hooks/push", content=json.dumps(events), headers=content).status_code == 202
    daemon.ended()
    until(lambda: collector.named("retrain churn"), "the span of the run", 30)
    assert [int.from_bytes(link.trace_id) for link in collector.named("retrain")[0].links] == list(range(1, 129))
    until(lambda: len(collector.named("receive push")) == 150, "a span for each event", 30)


@pytest.mark.parametrize(
    ("attribute", "header", "taken"),
    [
        pytest.param(None, SENDER, SENDER, id="that of the request, if the event has none"),
        pytest.param(OTHER, SENDER, OTHER, id="that of the event comes first"),
        pytest.param(None, "00-zz-zz-01", None, id="one that is none"),
    ],
)
def test_the_header_of_the_request(
    daemons: list[Traced], tmp_path: Path, collector: Collector, attribute: str | None, header: str, taken: str | None
) -> None:
    daemon = start(daemons, tmp_path, {"endpoint": collector.url})
    daemon.push("1", attribute, traceparent=header)
    daemon.ended()
    until(lambda: collector.named("retrain churn"), "the span of the run", 30)
    assert [link.trace_id.hex() for link in collector.named("retrain")[0].links] == ([taken[3:35]] if taken else [])


def test_a_run_that_ends_after_a_restart_has_one_trace(
    daemons: list[Traced], tmp_path: Path, collector: Collector
) -> None:
    go = tmp_path / "go"
    command = "while [ ! -e go ]; do sleep 0.05; done"  # in the folder of the project; /tmp is the step's own
    daemon = start(daemons, tmp_path, {"endpoint": collector.url}, command=command)
    daemon.push("1", SENDER)
    until(lambda: collector.named("submission"), "it is submitted", 60)
    daemon.kill()
    go.touch()
    daemon.port = 0
    daemon.start(OTEL_BSP_SCHEDULE_DELAY="100")
    daemon.ended()
    until(lambda: collector.named("retrain churn"), "the span of the run", 30)
    (root,) = collector.named("retrain churn")
    assert {span.trace_id for span in collector.named("submission")} == {root.trace_id}
    assert [link.trace_id.hex() for link in root.links] == [SENDER[3:35]]


@pytest.mark.parametrize(
    "kind", [pytest.param("silent", id="silent"), pytest.param("refusing", id="refusing"), pytest.param("", id="away")]
)
def test_a_collector_that_does_not_answer_holds_nothing_up(daemons: list[Traced], tmp_path: Path, kind: str) -> None:
    with Collector(silent=kind == "silent", refusing=503) as collector:
        daemon = start(daemons, tmp_path, {"endpoint": collector.url if kind else "http://127.0.0.1:9"})
        for event in range(20):
            daemon.push(str(event), SENDER)
        daemon.ended()
        began = time.monotonic()
        assert daemon.stop() == 0
        assert time.monotonic() - began < 15, "well below the 25 s that stopping may take"


@pytest.mark.parametrize(
    ("tracing", "environment"),
    [
        pytest.param(None, {}, id="by default"),
        pytest.param({}, {"OTEL_SDK_DISABLED": "true"}, id="by OTEL_SDK_DISABLED"),
        pytest.param({"sample": 0}, {}, id="by a sample of nothing"),
        pytest.param({}, {"OTEL_TRACES_SAMPLER": "always_off"}, id="by OTEL_TRACES_SAMPLER"),
    ],
)
def test_off(
    daemons: list[Traced],
    tmp_path: Path,
    collector: Collector,
    tracing: dict[str, Any] | None,
    environment: dict[str, str],
) -> None:
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, **environment}
    daemon = start(daemons, tmp_path, tracing, environment=environment)
    daemon.push("1")
    daemon.ended()
    assert daemon.stop() == 0
    assert collector.spans == []


@pytest.mark.parametrize(
    ("text", "context"),
    [
        pytest.param(
            SENDER, TraceContext(0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331, sampled=True), id="one"
        ),
        pytest.param(
            f"{UNSAMPLED[:-2]}02",
            TraceContext(int(UNSAMPLED[3:35], 16), int(UNSAMPLED[36:52], 16), sampled=False),
            id="other flags",
        ),
        pytest.param(
            f"01{SENDER[2:]}-more",
            TraceContext(int(SENDER[3:35], 16), int(SENDER[36:52], 16), sampled=True),
            id="a later version",
        ),
        pytest.param(f"{SENDER}-more", None, id="more than version 00 has"),
        pytest.param(f"ff{SENDER[2:]}", None, id="the version that is forbidden"),
        pytest.param(SENDER.upper(), None, id="large letters"),
        pytest.param(f"00-{'0' * 32}-b7ad6b7169203331-01", None, id="no trace"),
        pytest.param(f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01", None, id="no span"),
        pytest.param(7, None, id="no text"),
        pytest.param(None, None, id="nothing"),
    ],
)
def test_contexts(text: object, context: TraceContext | None) -> None:
    assert parse(text) == context
    assert of_event({"traceparent": text}, {}) == context
    assert of_event({}, {"headers": {"traceparent": text}}) == context
    assert context is None or parse(context.header) == context
