"""The whole daemon on the local engine, in this process: over its API and the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
from click.testing import CliRunner, Result

from retrainer.cli.main import main
from retrainer.config.load_settings import load_settings
from retrainer.daemon.app import App
from retrainer.daemon.service import AppService

if TYPE_CHECKING:
    from pathlib import Path

SETTINGS = """
version: 1
rules: [rules]
engine: {type: local, templates: templates, runs: runs}
store: {path: store.db}
http: {port: 0}
reload_interval: 1h
"""


class House:
    """Its folder has rules and templates; what they name besides must be there before. `close` it when done."""

    def __init__(self, folder: Path, rules: str, template: str | None = None) -> None:
        furnish(folder, SETTINGS, rules, template)
        self.app = App(load_settings(str(folder / "retrainer.yaml")), folder, AppService)
        self.app.start()
        self.http = httpx.Client(base_url=self.app.web.url, trust_env=False, timeout=10)

    def close(self) -> None:
        self.http.close()
        self.app.stop()

    def ask(self, *words: str, code: int = 0, stdin: str | None = None) -> Result:
        """Run the command line against it."""
        result = CliRunner().invoke(main, ["--url", self.app.web.url, *words], input=stdin)
        assert result.exit_code == code, (result.exit_code, result.output, result.exception)
        return result


def furnish(folder: Path, settings: str, rules: str, template: str | None = None) -> None:
    """Write what a daemon reads: its settings, a rule file, and the workflow template that the rules name."""
    for name in ("rules", "templates"):
        (folder / name).mkdir()
    (folder / "rules/rules.yaml").write_text(rules)
    (folder / "retrainer.yaml").write_text(settings)
    if template is not None:
        (folder / "templates/train.yaml").write_text(template)
