"""Bad events from a grammar that randomly combines inputs that caused faults before.

None is meant for a judged rule: its model, key or label is `poison`, which only the `victim` rules match. It arrives
through the same sources as the judged events, in the same partitions and transactions.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping

POISON = "poison"
MiB = 1 << 20
JSON = {"content-type": "application/json"}
BATCH = {"content-type": "application/cloudevents-batch+json"}
STRUCTURED = {"content-type": "application/cloudevents+json"}


@dataclass(frozen=True, slots=True)
class Bad:
    """A body for a webhook or a record for a topic, and a description of its fault."""

    what: str
    road: str
    """Webhooks are `push`, `values`, `alerts` and `lake`; topics are `records`, `pond` and `packed`."""
    body: bytes | None
    headers: Mapping[str, str] = field(default_factory=dict)


HOOKS = ("push", "values", "alerts", "lake")
TOPICS = ("records", "pond", "packed")


def bad_event(chance: random.Random) -> Bad:
    """A random bad event; deterministic for a given state of ``chance``."""
    what = chance.choice(sorted(EVENTS))
    return EVENTS[what](what, chance)


# Values that no event should have.

INTERNAL = (
    "kafka",
    "seq",
    "rule",
    "key",
    "outcome",
    "record",
    "retrainerrun",
    "class",
    "attributes",
    "state",
    "wakeat",
)
"""Names that have a meaning in the implementation."""


def _value(chance: random.Random, depth: int = 0) -> Any:
    """A value that caused faults before, alone or nested."""
    plain: list[Callable[[], Any]] = [
        lambda: "nul \x00 inside",
        lambda: "{{workflow.parameters.event}} {{= 1 + 1 }} ${event.data}",
        lambda: "'; DROP TABLE events; --",
        lambda: "\u202e\ufeff\U0001f4a5" * 20,
        lambda: "x" * chance.choice((201, 1025, 20_000)),
        lambda: chance.choice((2**63, -(2**63) - 1, 10**30, 2**53 + 1, -1, 0)),
        lambda: chance.choice((1e308, 5e-324, -0.0, 1e-5)),
        lambda: chance.choice((None, True, False, "", [], {}, "true", "17", "1e3", "NaN")),
        lambda: {"": 1, "a.b": 2, "__proto__": 3, "1": 4},
        lambda: [chance.random() for _ in range(chance.choice((3, 3000)))],
    ]
    if depth < 3 and chance.random() < 0.3:
        return chance.choice(([_value(chance, depth + 1)], {"value": _value(chance, depth + 1)}))
    return chance.choice(plain)()


def _data(chance: random.Random) -> dict[str, Any]:
    names = ("n", "model", "place", "user", "size", "value", "key", "time", "rows", "extra")
    found = {name: _value(chance) for name in chance.sample(names, chance.randrange(1, len(names)))}
    return {**found, "model": POISON} if chance.random() < 0.8 else {**found, "model": [POISON]}


def _event(chance: random.Random) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": f"poison-{chance.getrandbits(60)}",
        "source": "/poison",
        "type": "bad",
        "data": _data(chance),
    }


# Bodies. Each function gets its own name and the random generator.


def _wrong_values(what: str, chance: random.Random) -> Bad:
    road = chance.choice(("push", "values", "records", "records"))
    if road == "push":
        return Bad(what, road, json.dumps(_event(chance)).encode(), STRUCTURED)
    return Bad(what, road, json.dumps(_data(chance)).encode(), JSON if road == "values" else {})


def _internal_name(what: str, chance: random.Random) -> Bad:
    more = {name: chance.choice(("x", 1, True)) for name in chance.sample(INTERNAL, 3)}
    if chance.random() < 0.5:
        return Bad(what, "push", json.dumps({**_event(chance), **more}).encode(), STRUCTURED)
    named = {f"ce-{name}": str(value) for name, value in more.items()}
    binary = {"ce-specversion": "1.0", "ce-id": f"p{chance.getrandbits(60)}", "ce-source": "/p", "ce-type": "bad"}
    return Bad(what, "push", json.dumps(_data(chance)).encode(), {**JSON, **binary, **named})


def _wrong_attribute(what: str, chance: random.Random) -> Bad:
    event = _event(chance)
    event[chance.choice(("id", "source", "type", "subject", "time", "specversion"))] = _value(chance)
    return Bad(what, "push", json.dumps(event).encode(), STRUCTURED)


def _wrong_time(what: str, chance: random.Random) -> Bad:
    time = chance.choice(("1969-12-31T23:59:59Z", "9999-12-31T23:59:59Z", "0000-00-00", "1764460800000", "yesterday"))
    return Bad(what, "push", json.dumps({**_event(chance), "time": time}).encode(), STRUCTURED)


def _mixed_batch(what: str, chance: random.Random) -> Bad:
    parts = [_event(chance) if chance.random() < 0.5 else _value(chance) for _ in range(chance.choice((5, 200)))]
    return Bad(what, "push", json.dumps(parts).encode(), BATCH)


def _too_many(what: str, chance: random.Random) -> Bad:
    return Bad(what, "push", b"[" + b",".join([b"{}"] * chance.choice((9_999, 10_001, 300_000))) + b"]", BATCH)


def _deep(what: str, chance: random.Random) -> Bad:
    levels = chance.choice((63, 65, 1_000, 100_000))
    opening, closing = chance.choice(((b"[", b"]"), (b'{"a":', b"}")))
    body = opening * levels + b"1" + closing * levels
    road = chance.choice(("values", "records", "lake", "alerts"))
    return Bad(what, road, body, JSON if road in HOOKS else {})


def _no_json(what: str, chance: random.Random) -> Bad:
    junk = (b"", b"{", b"\xef\xbb\xbf{}", b'"\xff\xfe"', b"\x00" * 100, b"NaN", b'{"n": 1e999}', b'{"n": Infinity}')
    more = (
        b'{"n": ' + b"9" * 5_000 + b"}",
        b"<xml/>",
        b'{"n":1}{"n":2}',
        b"[1,2,3]",
        b'"text"',
        b"null",
        b'{"a":1,"a":2}',
    )
    road = chance.choice((*HOOKS, *TOPICS))
    return Bad(what, road, chance.choice(junk + more), JSON if road in HOOKS else {})


def _bomb(what: str, chance: random.Random) -> Bad:
    packed = {**JSON, "content-encoding": "gzip"}
    return Bad(what, chance.choice(HOOKS), _zipped(chance.choice(("zeros", "maps", "lists", "cut"))), packed)


@cache
def _zipped(how: str) -> bytes:
    bodies = {
        "zeros": b"0" * (64 * MiB),
        "maps": b"[" + b",".join([b"{}"] * 300_000) + b"]",
        "lists": b"[" + b",".join([b"[]"] * 300_000) + b"]",
        "cut": b'{"model": "poison"}' * 1_000,
    }
    body = gzip.compress(bodies[how])
    return body[:-10] if how == "cut" else body


def _wrong_type(what: str, chance: random.Random) -> Bad:
    types = ("", "text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16", "image/png")
    return Bad(what, chance.choice(HOOKS), json.dumps(_data(chance)).encode(), {"content-type": chance.choice(types)})


def _large(what: str, chance: random.Random) -> Bad:
    size = chance.choice((MiB - 100, MiB + 1, 3 * MiB // 2))
    road = chance.choice(("values", "push"))
    return Bad(what, road, json.dumps({"model": POISON, "text": "x" * size}).encode(), JSON)


def _alerts(what: str, chance: random.Random) -> Bad:
    """A megabyte of alerts, most of which cannot be parsed."""
    labels = {"alertname": POISON, "text": "x" * 300}
    one = {"status": "firing", "labels": labels, "startsAt": "never", "fingerprint": "f"}
    other = {**one, "labels": _value(chance)}
    alerts = [chance.choice((one, other)) for _ in range(chance.choice((10, 1_500)))]
    return Bad(what, "alerts", json.dumps({"version": "4", "groupKey": "g", "alerts": alerts}).encode()[:MiB], JSON)


def _alert(what: str, chance: random.Random) -> Bad:
    alert = {
        "status": chance.choice(("firing", "resolved", "odd", 1)),
        "labels": {"alertname": POISON, "n": _value(chance)},
        "startsAt": chance.choice(("2026-11-29T00:00:00Z", "0001-01-01T00:00:00Z", "x")),
        "fingerprint": _value(chance),
    }
    return Bad(what, "alerts", json.dumps({"version": chance.choice(("4", 4, "5")), "alerts": [alert]}).encode(), JSON)


def _object(what: str, chance: random.Random) -> Bad:
    """A bucket notification with missing parts, or with parts of another type."""
    key = chance.choice(("a+b%2Bc", "%zz", "%00", "p" * 2_000, "", "*_*_*_" * 300, "../../etc/passwd"))
    thing = {"key": f"{POISON}/{key}", "size": _value(chance), "eTag": _value(chance), "sequencer": _value(chance)}
    for name in chance.sample(sorted(thing), chance.randrange(2)):
        del thing[name]
    told = {
        "eventName": chance.choice(("s3:ObjectCreated:Put", "ObjectCreated:Put", "s3:Nothing", 7)),
        "eventTime": chance.choice(("2026-11-29T00:00:00.000Z", "never", 5)),
        "s3": {"bucket": {"name": chance.choice((POISON, "", 3))}, "object": thing},
    }
    road = chance.choice(("lake", "pond"))
    body: dict[str, Any] = {"Records": [told] * chance.choice((1, 1, 50))}
    if chance.random() < 0.1:
        body = {"Event": "s3:TestEvent"}
    return Bad(what, road, json.dumps(body).encode(), JSON if road == "lake" else {})


def _tombstone(what: str, chance: random.Random) -> Bad:
    return Bad(what, chance.choice(TOPICS), None)


def _avro(what: str, chance: random.Random) -> Bad:
    """A record whose schema does not exist, or whose bytes do not match it."""
    head = b"\x00" + chance.choice((1, 2, 99, 2**31 - 1)).to_bytes(4, "big")
    return Bad(what, "packed", chance.choice((b"", b"\x00", head, head + chance.randbytes(50), head + b"\xff" * 300)))


def _pushed(what: str, chance: random.Random) -> Bad:
    return Bad(what, "values", json.dumps({"model": POISON, "value": _value(chance)}).encode(), JSON)


EVENTS: Mapping[str, Callable[[str, random.Random], Bad]] = {
    "values of the wrong kind": _wrong_values,
    "attributes named as internals": _internal_name,
    "an attribute of the wrong kind": _wrong_attribute,
    "an impossible time": _wrong_time,
    "a batch of good and bad": _mixed_batch,
    "more events than a request may have": _too_many,
    "deep nesting": _deep,
    "no JSON": _no_json,
    "a body that unpacks to much more": _bomb,
    "a content type that is not ours": _wrong_type,
    "a body of a megabyte": _large,
    "a megabyte of alerts": _alerts,
    "an odd alert": _alert,
    "an odd object": _object,
    "a tombstone": _tombstone,
    "Avro junk": _avro,
    "an odd pushed value": _pushed,
}
