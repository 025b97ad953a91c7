"""The dashboards as code. `make dashboards` writes JSON files for Grafana into this folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from deploy.monitoring.dashboards.kit import MARKS
from deploy.monitoring.dashboards.operations import operations
from deploy.monitoring.dashboards.overview import overview
from deploy.monitoring.dashboards.rule import rule
from deploy.monitoring.dashboards.sources_and_engine import sources_and_engine

if TYPE_CHECKING:
    from grafana_foundation_sdk.builders.dashboard import Dashboard

FOLDER = Path(__file__).parent
BOARDS = {
    "overview": overview,
    "rule": rule,
    "sources-and-engine": sources_and_engine,
    "operations": operations,
}


def rendered() -> dict[str, str]:
    """Name and content of each file."""
    return {f"{name}.json": _text(make()) for name, make in BOARDS.items()}


def _text(board: Dashboard) -> str:
    made = board.build()
    for number, panel in enumerate(made.panels or [], start=1):
        panel.id_val = number
    plain = json.loads(json.dumps(made, cls=JSONEncoder))
    for mark in plain["annotations"].get("list", []):
        mark["titleFormat"] = MARKS[mark["name"]][2]  # which the library does not know
    return json.dumps(plain, indent=2, ensure_ascii=False, sort_keys=True) + "\n"
