from __future__ import annotations

import json
from pathlib import Path

from retrainer.api.app import openapi

COMMITTED = Path(__file__).parents[3] / "docs/reference/openapi.json"


def test_the_committed_description_is_what_is_served() -> None:
    assert json.loads(COMMITTED.read_text()) == openapi(), "retrainer schema api > docs/reference/openapi.json"


def test_every_operation_says_what_it_does() -> None:
    operations = [operation for path in openapi()["paths"].values() for operation in path.values()]
    assert all(operation["description"] for operation in operations)
