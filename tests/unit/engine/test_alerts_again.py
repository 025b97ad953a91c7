"""Alerts as a real Alertmanager sends them: repeated, resolved, and continued after they counted as resolved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import pytest

from retrainer.sources.base import Batch
from retrainer.sources.formats import alertmanager
from retrainer.sources.formats.payload import Delivery
from retrainer.util.timefmt import rfc3339
from tests.houses.engine import DrivenEngine
from tests.unit.engine.kit import DAY, START

if TYPE_CHECKING:
    from pathlib import Path

    from retrainer.event import Event

RULE = {
    "name": "churn",
    "triggers": {"page": {"alert": {"source": "push", "match": {"model": "churn"}}}},
    "limits": {"overlap": "allow_all"},
    "submit": {"workflow_template": "train"},
}
FIRST, SECOND = START - 600, START - 60
"""Start time of the alert, and start time of its second occurrence."""


def emitted(status: str, began: float = FIRST, ended: float = START - 300) -> Event:
    times = {"startsAt": rfc3339(began), "endsAt": rfc3339(ended) if status == "resolved" else "0001-01-01T00:00:00Z"}
    labels = {"alertname": "ModelDrift", "model": "churn"}
    body = {"version": "4", "alerts": [{"status": status, "labels": labels, "fingerprint": "f", **times}]}
    (event,) = alertmanager.parse(Delivery("push", orjson.dumps(body), START, "request:1"))
    return event  # type: ignore[return-value]


FIRES, ENDS, ANEW = emitted("firing"), emitted("resolved"), emitted("firing", SECOND)
GOES_ON = [FIRES, ENDS, FIRES]


@pytest.fixture
def bench(tmp_path: Path) -> DrivenEngine:
    return DrivenEngine(tmp_path / "retrainer.db", [RULE], START)


def runs(bench: DrivenEngine) -> int:
    return len(bench.query("SELECT id FROM runs"))


@pytest.mark.parametrize(
    ("events", "new", "started"),
    [
        pytest.param([FIRES, FIRES, FIRES], "yes no no", 1, id="repeated"),
        pytest.param([FIRES, ENDS, ENDS], "yes yes no", 1, id="resolved twice"),
        pytest.param(GOES_ON, "yes yes yes", 2, id="it went on although it was resolved"),
        pytest.param([*GOES_ON, FIRES], "yes yes yes no", 2, id="and is repeated"),
        pytest.param([*GOES_ON, ENDS, ENDS], "yes yes yes yes no", 2, id="and resolved again"),
        pytest.param([FIRES, ENDS, ANEW], "yes yes yes", 2, id="it began anew"),
        pytest.param([FIRES, ENDS, ANEW, ENDS, ANEW], "yes yes yes no no", 2, id="and a late repeat changes nothing"),
        pytest.param([ANEW, emitted("resolved"), ANEW], "yes yes no", 1, id="nor does late news of the one before"),
    ],
)
def test_what_an_alert_says_again(bench: DrivenEngine, events: list[Event], new: str, started: int) -> None:
    apart = [bench.deliver([event], identity_window=DAY)[0] for event in events]
    assert ["no" if word == "duplicate" else "yes" for word in apart] == new.split()
    assert runs(bench) == started
    at_once = DrivenEngine(bench.path.parent / "other.db", [RULE], START)
    assert at_once.deliver(events, identity_window=DAY) == apart, "the same in one batch"
    assert runs(at_once) == started
    several = DrivenEngine(bench.path.parent / "third.db", [RULE], START)
    batches = [Batch("push", [event], identity_window=DAY) for event in events]
    assert [words[0] for words in several.deliver_all(batches)] == apart, "and in one transaction"


def test_it_is_so_after_a_restart(bench: DrivenEngine) -> None:
    outcomes: list[Any] = []
    for event in [FIRES, ENDS, FIRES, FIRES]:
        outcomes += bench.deliver([event], identity_window=DAY)
        bench.restart()
    assert outcomes == ["matched", "matched", "matched", "duplicate"]
    assert runs(bench) == 2
