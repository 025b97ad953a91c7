"""An engine with a Prometheus source and an Alertmanager source. Its runs never end."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import orjson

from retrainer.sources import registry
from retrainer.sources.webhook import Webhooks
from retrainer.store.packing import unpack
from tests.houses.engine import RunningEngine
from tests.integration.prometheus.monitoring import TOKEN
from tests.unit.sources.sources_kit import served
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

EXPR = "feature_psi"


def rule(name: str, **trigger: Any) -> dict[str, Any]:
    """A rule that only its trigger limits, so that every surplus run is visible."""
    submit = {"workflow_template": "train"}
    return {"name": name, "triggers": {"drift": trigger}, "limits": {"overlap": "allow_all"}, "submit": submit}


def drifts(model: str, *, name: str = "churn", **more: Any) -> dict[str, Any]:
    """A rule that fires when the drift of a model is above 0.2, and again after it was at most 0.1."""
    asked = {"source": "prometheus", "expr": EXPR, "match": {"model": model}, "above": 0.2, "clear": 0.1}
    return rule(name, metric={**asked, "jitter": "0s", **more})


def fires(model: str, **more: Any) -> dict[str, Any]:
    """A rule that fires when the Prometheus alert of a model fires."""
    match = {"alertname": "ModelDrift", "model": model}
    return rule("churn", alert={"source": "alerts", "match": match, **more})


class MonitoredEngine(RunningEngine):
    def __init__(self, path: Path, url: str, web_port: int) -> None:
        self._url, self._web_port = url, web_port
        self._serving = contextlib.ExitStack()
        super().__init__(path)

    def begin(self, *rules: dict[str, Any], **settings: Any) -> None:
        """Load these rules. ``settings`` are those of the source `prometheus`."""
        asked = {"type": "prometheus", "url": self._url, "polling_interval": "1s", "timeout": "5s", **settings}
        alerts = {"type": "alertmanager", "path": "/hooks/alerts", "token": {"from_env": "ALERTS_TOKEN"}}
        configured = self.load({"prometheus": asked, "alerts": alerts}, rules).sources
        for name, wanted in registry.threaded(configured, leads=True).items():
            self.sources.append(registry.build(name, wanted.config, self.engine, self.clock, self.path.parent))
            self.sources[-1].start()
        webhooks = Webhooks(registry.webhooks(configured), self.engine, self.clock, lambda _: TOKEN)
        self._serving.enter_context(served(webhooks, self._web_port))

    @property
    def prometheus(self) -> Any:
        """The source."""
        return self.sources[0]

    def close(self) -> None:
        self._serving.close()
        super().close()

    def answers(self, expr: str = EXPR) -> list[dict[str, Any]]:
        """The answers of Prometheus for an expression, in order."""
        sql = "SELECT data FROM events WHERE type = 'prometheus.query' ORDER BY seq"
        return [data for (text,) in self.query(sql) if (data := unpack(text))["expr"] == expr]

    def values(self, model: str) -> list[float]:
        """The values of a model's series in the last answer; [] also if there was no answer."""
        told = self.answers()[-1:]
        return [s["value"] for data in told for s in data["series"] if s["labels"]["model"] == model]

    def looks(self, count: int = 3) -> None:
        """Wait until ``count`` more answers are decided on."""
        before = len(self.answers())
        until(lambda: len(self.answers()) >= before + count, "further answers")

    def alerts(self, model: str) -> list[tuple[str, str]]:
        """The received alerts of a model: type and start time."""
        rows = self.query("SELECT type, data FROM events WHERE source = 'alerts' ORDER BY seq")
        told = [(kind, orjson.loads(text)) for kind, text in rows]
        return [(kind, data["startsAt"]) for kind, data in told if data["labels"]["model"] == model]

    def runs(self, rule: str = "churn") -> int:
        return len(self.query(f"SELECT id FROM runs WHERE rule = '{rule}'"))

    def hears_again(self, model: str, times: int = 2) -> None:
        """Wait until alerts of a model have been received ``times`` more times."""
        for _ in range(times):
            before = self._heard(model)
            until(lambda b=before: self._heard(model) > b, "it is told again")  # type: ignore[misc]

    def _heard(self, model: str) -> float:
        sql = (
            "SELECT max(i.seen_at) FROM identities i JOIN events e ON e.source = i.source AND e.id = i.id "
            f"WHERE e.source = 'alerts' AND json_extract(e.data, '$.labels.model') = '{model}'"
        )
        ((at,),) = self.query(sql)
        return float(at or 0.0)
