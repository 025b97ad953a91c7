"""Rules for the records of `tests.benchmarks.records`."""

from __future__ import annotations

from typing import Any

from tests.benchmarks.cluster import TEMPLATE
from tests.benchmarks.records import SERVERS

NEVER = 10**12
"""More events than any measurement has."""
MATCHES = 3
"""Rules that match each record."""
NAME = "records"
"""The name of the source."""


def kafka_sources(topic: str) -> dict[str, Any]:
    """The source that reads a topic, otherwise with defaults."""
    return {NAME: {"type": "kafka", "bootstrap_servers": [SERVERS], "topics": [topic], "group_id": f"group-{topic}"}}


def matching_rules(count: int, at_least: int = NEVER) -> list[dict[str, Any]]:
    """Return ``count`` rules, of which exactly three match a record by equality. None starts a run."""
    return [_rule(n, at_least) for n in range(count)]


def _rule(number: int, at_least: int) -> dict[str, Any]:
    data = {
        "source": NAME,
        "match": {"model": f"model-{number // MATCHES}"},
        "batch": {"at_least": {"events": at_least}},
    }
    return {"name": f"rule-{number}", "triggers": {"new": {"data": data}}, "submit": {"workflow_template": TEMPLATE}}
