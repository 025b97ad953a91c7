"""An alert trigger is satisfied while an alert fires: as a metric that is 1 while it fires, and 0 once resolved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from retrainer.rules.outcome import Reason, Sample
from retrainer.rules.triggers.kind import TriggerContext, TriggerKind
from retrainer.rules.triggers.level import Threshold
from retrainer.rules.triggers.threshold import CompiledThreshold, label_conditions, series_label
from retrainer.util.timefmt import epoch

if TYPE_CHECKING:
    from retrainer.config.models import Alert
    from retrainer.event import Event
    from retrainer.rules.expression import StepBudget

ALERT_BOUND = 0.5
"""The threshold."""


@dataclass(frozen=True, slots=True)
class CompiledAlert(CompiledThreshold):
    """An alert trigger of a rule."""

    def sample(self, event: Event, balance: StepBudget | None = None) -> Sample:
        firing = event.data.get("status") == "firing"
        return Sample(series_label(str(event.data.get("fingerprint", ""))), float(firing), _began(event))


def _began(event: Event) -> float:
    """When the alert started (epoch seconds). Alerts are ordered by it, so a late report about an older one is ignored.

    Reports about the same alert apply as they arrive: an alert that was taken for resolved may fire again.
    """
    began = event.data.get("startsAt")
    return epoch(str(began)) if began else event.time


def _compile(alert: Alert, context: TriggerContext) -> CompiledAlert:
    threshold = Threshold(
        ALERT_BOUND, ALERT_BOUND, high=True, hold=alert.for_, repeat=alert.repeat_interval, alerts=True
    )
    found = label_conditions(alert.match)
    return CompiledAlert(context.rule, context.name, alert.source, found, threshold, Reason.ALERT, context.by)


KIND = TriggerKind(_compile, ("source", "match"))
