"""`retrainer log-level` and its endpoint."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import httpx
import pytest

from retrainer.telemetry import logs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retrainer.api.server import WebServer
    from tests.unit.cli.conftest import Ask


@pytest.fixture(autouse=True)
def configured(logging_as_before: None) -> Iterator[None]:
    logs.configure("info", json=True)
    yield
    logs.configure("info", json=True)


def test_the_level_is_shown_changed_and_returned(ask: Ask) -> None:
    assert json.loads(ask("log-level", "-o", "json").stdout) == {"level": "info", "configured": "info"}
    assert "debug" in ask("log-level", "debug").stdout
    assert logs.current_levels() == ("debug", "info")
    ask("log-level", "configured")
    assert logs.current_levels() == ("info", "info")


@pytest.mark.parametrize("words", [pytest.param(("loud",), id="no level"), pytest.param(("debug", "info"), id="two")])
def test_a_level_that_is_none(ask: Ask, words: tuple[str, ...]) -> None:
    ask("log-level", *words, code=2)


@pytest.mark.parametrize("body", [{}, {"level": "loud"}, {"level": 10}, {"level": "debug", "logger": "kafka"}])
def test_the_endpoint_refuses_other_bodies(server: WebServer, body: dict[str, object]) -> None:
    answer = httpx.put(f"{server.url}/-/log-level", json=body, trust_env=False)
    assert answer.status_code == 422
    assert logs.current_levels() == ("info", "info")
