"""`python -m deploy.monitoring.dashboards` writes the dashboards into this folder."""

from __future__ import annotations

from pathlib import Path

from deploy.monitoring.dashboards import FOLDER, rendered

for name, text in rendered().items():
    Path(FOLDER / name).write_text(text)
    print(FOLDER / name)  # noqa: T201 - prints what was written
