from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest
from click.testing import CliRunner, Result

from retrainer.cli.main import main
from retrainer.util.clock import SystemClock
from tests.unit.api.conftest import daemon, logged, server, shared
from tests.unit.api.ledger import NOW

if TYPE_CHECKING:
    from retrainer.api.server import WebServer

__all__ = ["daemon", "logged", "server", "shared"]


class Ask(Protocol):
    def __call__(self, *args: str, code: int = 0, stdin: str | None = None) -> Result: ...


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, logging_as_before: None) -> Ask:
    """Run the CLI two minutes after the history, and expect the exit code `code`."""
    monkeypatch.setattr(SystemClock, "now", lambda _: NOW + 120)
    for name in (
        "RETRAINER_URL",
        "RETRAINER_TOKEN",
        "RETRAINER_TOKEN_FILE",
        "RETRAINER_CONFIG",
        "RETRAINER_CA_FILE",
        "RETRAINER_SERVER_NAME",
    ):
        monkeypatch.delenv(name, raising=False)

    def ask(*args: str, code: int = 0, stdin: str | None = None) -> Result:
        result = CliRunner().invoke(main, args, input=stdin)
        assert result.exit_code == code, (result.exit_code, result.output, result.exception)
        return result

    return ask


@pytest.fixture
def ask(cli: Ask, server: WebServer, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """Run the CLI with a daemon to call."""
    monkeypatch.setenv("RETRAINER_URL", server.url)
    return cli
