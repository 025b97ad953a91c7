"""Helpers for the tests of the Kafka source: settings, rules, numbered records, and checks of what was counted."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from kafka.errors import CoordinatorNotAvailableError

from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.houses.engine import RunningEngine
    from tests.integration.broker import Broker

NAME = "orders"


def kafka(broker: Broker, *topics: str, **settings: Any) -> dict[str, Any]:
    """Return the settings of a source with a unique group."""
    listed = {"topics": list(topics)} if topics else {}
    base = {"type": "kafka", "bootstrap_servers": [broker.servers], "group_id": f"g-{uuid4().hex[:12]}"}
    return {**base, **listed, **settings}


def rule(
    events: int = 10**6, name: str = "train", parameters: dict[str, str] | None = None, **data: Any
) -> dict[str, Any]:
    """Return a rule that fires after every ``events`` events."""
    trigger = {"source": NAME, "batch": {"at_least": {"events": events}}, **data}
    return {
        "name": name,
        "triggers": {"new": {"data": trigger}},
        "limits": {"overlap": "allow_all", "max_active": 10000},
        "submit": {"workflow_template": "train", "parameters": parameters or {}},
    }


def numbered(numbers: Iterable[int]) -> list[bytes]:
    """Records that contain their number."""
    return [json.dumps({"n": n}).encode() for n in numbers]


def counted(house: RunningEngine) -> list[int]:
    """The numbers of all events of the ledger, in order of arrival."""
    return [n for (n,) in house.query("SELECT json_extract(data, '$.n') FROM events ORDER BY seq")]


def await_numbers(house: RunningEngine, numbers: Iterable[int], timeout: float = 40.0) -> None:
    """Wait until all ``numbers`` are in the ledger. Fail if one is there twice, or if there is any other."""
    wanted = sorted(numbers)
    until(lambda: len(counted(house)) >= len(wanted), f"{len(wanted)} events", timeout)
    assert sorted(counted(house)) == wanted


def parts(house: RunningEngine) -> dict[str, int]:
    """The position of each partition."""
    return house.engine.parts(NAME)


def members(broker: Broker, group: str) -> list[str]:
    """Return the members of a consumer group; none while a new broker has no groups yet."""
    with broker.admin() as admin, contextlib.suppress(CoordinatorNotAvailableError):
        return sorted(member["member_id"] for member in admin.describe_groups([group])[group]["members"])
    return []


def committed(broker: Broker, group: str) -> dict[str, int]:
    """Return the offsets that a consumer group has committed."""
    with broker.admin() as admin:
        known = admin.list_group_offsets([group])[group]
    return {f"{tp.topic}/{tp.partition}": at.offset for tp, at in known.items()}
