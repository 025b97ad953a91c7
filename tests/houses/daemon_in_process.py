"""A complete daemon with the local engine in this process, used through its API and the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import httpx
from click.testing import CliRunner, Result

from retrainer.cli.main import main
from retrainer.config.load_settings import load_settings
from retrainer.daemon.app import build

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


class DaemonInProcess:
    """A running daemon with its rules and templates. Files that they refer to must exist. Call `close` at the end."""

    def __init__(self, folder: Path, rules: str, template: str | None = None, settings: str = SETTINGS) -> None:
        self.folder = folder
        furnish(folder, settings, rules, template)
        self.app = build(load_settings(str(folder / "retrainer.yaml")), folder)
        self.app.start()
        self.http = httpx.Client(base_url=self.app.web.url, trust_env=False, timeout=60)

    def close(self) -> None:
        self.http.close()
        self.app.stop()

    def ask(self, *words: str, code: int = 0, stdin: str | None = None) -> Result:
        """Run the command line against the daemon; fail unless its exit code is ``code``."""
        result = CliRunner().invoke(main, ["--url", self.app.web.url, *words], input=stdin)
        assert result.exit_code == code, (result.exit_code, result.output, result.exception)
        return result


def furnish(folder: Path, settings: str, rules: str, template: str | None = None) -> None:
    """Write the input files of a daemon: settings, one rule file, and the workflow template that the rules name."""
    for name in ("rules", "templates"):
        (folder / name).mkdir()
    (folder / "rules/rules.yaml").write_text(rules)
    (folder / "retrainer.yaml").write_text(settings)
    if template is not None:
        (folder / "templates/train.yaml").write_text(template)


def template(name: str, *command: str) -> str:
    """Return a WorkflowTemplate with one step, as a document of YAML."""
    step = json.dumps({"name": "main", "container": {"image": "x", "command": command}})
    return f"""---
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {{name: {name}}}
spec: {{entrypoint: main, templates: [{step}]}}
"""
