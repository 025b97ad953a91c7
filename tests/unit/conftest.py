"""Fixtures that restore global state of the process after a test."""

from __future__ import annotations

import logging
from copy import copy
from typing import TYPE_CHECKING

import pytest
import structlog

from retrainer.telemetry.secrets import SECRETS

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _no_secret_of_another_test() -> Iterator[None]:
    """Restore the registered secrets: those of one test's daemon would be masked in the texts of the next test."""
    kept = {name: copy(value) for name, value in vars(SECRETS).items() if name != "_lock"}
    yield
    vars(SECRETS).update(kept)


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    """Restore the logging configuration after a test that configures it, as a starting daemon does."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    yield
    root.setLevel(level)
    logging.getLogger("retrainer").setLevel(logging.NOTSET)
    root.handlers[:] = handlers
    logging.captureWarnings(False)
    structlog.reset_defaults()
