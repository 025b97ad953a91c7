"""What the tests of the Kafka source share: settings, rules, numbered records, and the judge that counts them."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from kafka.errors import CoordinatorNotAvailableError

from tests.integration.house import eventually

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.integration.broker import Broker
    from tests.integration.house import House

NAME = "orders"


def kafka(broker: Broker, *topics: str, **settings: Any) -> dict[str, Any]:
    """Return the settings of a source, with a group of its own."""
    listed = {"topics": list(topics)} if topics else {}
    base = {"type": "kafka", "bootstrap_servers": [broker.servers], "group_id": f"g-{uuid4().hex[:12]}"}
    return {**base, **listed, **settings}


def rule(
    events: int = 10**6, name: str = "train", parameters: dict[str, str] | None = None, **data: Any
) -> dict[str, Any]:
    """Return a rule that fires each time that so many events came."""
    trigger = {"source": NAME, "batch": {"at_least": {"events": events}}, **data}
    return {
        "name": name,
        "triggers": {"new": {"data": trigger}},
        "limits": {"overlap": "allow_all", "max_active": 10000},
        "submit": {"workflow_template": "train", "parameters": parameters or {}},
    }


def numbered(numbers: Iterable[int]) -> list[bytes]:
    """Records that say which ones they are."""
    return [json.dumps({"n": n}).encode() for n in numbers]


def counted(house: House) -> list[int]:
    """The numbers of all events of the ledger, in the order they came in."""
    return [n for (n,) in house.query("SELECT json_extract(data, '$.n') FROM events ORDER BY seq")]


def await_numbers(house: House, numbers: Iterable[int], timeout: float = 40.0) -> None:
    """Wait until these numbers are there; each must be there once, and no other."""
    wanted = sorted(numbers)
    eventually(lambda: len(counted(house)) >= len(wanted), f"{len(wanted)} events", timeout)
    assert sorted(counted(house)) == wanted


def parts(house: House) -> dict[str, int]:
    """The position of each part."""
    return house.engine.parts(NAME)


def members(broker: Broker, group: str) -> list[str]:
    """Return who is in a consumer group, nobody while a new broker knows of no groups yet."""
    with broker.admin() as admin, contextlib.suppress(CoordinatorNotAvailableError):
        return sorted(member["member_id"] for member in admin.describe_groups([group])[group]["members"])
    return []


def committed(broker: Broker, group: str) -> dict[str, int]:
    """Return what a consumer group knows of positions."""
    with broker.admin() as admin:
        known = admin.list_group_offsets([group])[group]
    return {f"{tp.topic}/{tp.partition}": at.offset for tp, at in known.items()}
