"""Sources and rules of a soak: a few judged rules and a crowd of others, 1,000 in all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.soak.poison import POISON

if TYPE_CHECKING:
    from collections.abc import Sequence

RULES = 1_000
KEYS = 10_000
MODELS = 6
"""Number of different values of `model` on each channel."""
REGIONAL = 8
"""One in this many records has a region."""
REGIONS = 12
"""Number of keys of the judged rule with keys."""
CROWD_FILES = 20
FILES = tuple(f"crowd-{n:02}.yaml" for n in range(CROWD_FILES))
JUDGED_FILE, SOURCES_FILE = "judged.yaml", "sources.yaml"
TEMPLATE_NAME = "nothing"
SECRET = "SOAK_TOKEN"
"""The variable with the token of webhooks that servers send to."""
DRIFT, ALERT = "drift", "alert"
"""Models of the gauge that Prometheus scrapes: one for the rule that polls, one for the rule with the alert."""
HIGH, LOW = 0.9, 0.05
"""A value above the threshold, and one that clears it."""
ROADS = ("push", "records", "lake", "pond")
"""Sources with numbered events: each number is in exactly one run."""

# Ends immediately and needs no pod: its only step is skipped. Argo removes it once its outcome is stored.
TEMPLATE: dict[str, Any] = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "WorkflowTemplate",
    "metadata": {"name": TEMPLATE_NAME},
    "spec": {
        "entrypoint": "main",
        "ttlStrategy": {"secondsAfterCompletion": 90},
        "arguments": {"parameters": [{"name": "took", "value": "[]"}, {"name": "slot", "value": ""}]},
        "templates": [
            {"name": "main", "steps": [[{"name": "never", "template": "never", "when": "1 == 2"}]]},
            {"name": "never", "suspend": {}},
        ],
    },
}


def sources(kafka: str, minio: str, prometheus: str, registry: str) -> dict[str, Any]:
    """All sources, at the addresses of the proxies to the servers."""
    topics = {"bootstrap_servers": [kafka], "group_id": "soak"}
    token = {"from_env": SECRET}

    def bucket(name: str, via: dict[str, Any]) -> dict[str, Any]:
        swept = {"sweep": "30s", "sweep_settle": "20s", "buckets": [{"name": name}]}
        return {"type": "s3", "via": via, "endpoint_url": minio, "region": "us-east-1", **swept}

    return {
        "push": {"type": "webhook", "path": "/hooks/push", "format": "cloudevents"},
        "values": {"type": "webhook", "path": "/hooks/values", "format": "json"},
        "records": {"type": "kafka", "topics": ["records"], **topics},
        "packed": {
            "type": "kafka",
            "topics": ["packed"],
            "format": "avro",
            "schema_registry": {"url": registry},
            **topics,
        },
        "lake": bucket("lake", {"webhook": {"path": "/hooks/lake", "token": token}}),
        "pond": bucket("pond", {"kafka": {"topics": ["pond"], **topics}}),
        "drift": {"type": "prometheus", "url": prometheus, "polling_interval": "2s", "timeout": "5s"},
        "alerts": {"type": "alertmanager", "path": "/hooks/alerts", "token": token},
    }


def judged() -> list[dict[str, Any]]:
    """The rules whose runs output what they took or when they were due."""
    numbered = [_numbered(f"{road}-{n}", road, f"m-{n}") for road in ("push", "records") for n in range(MODELS)]
    objects = [_objects(f"{road}-{n}", road, f"m-{n}") for road in ("lake", "pond") for n in range(2)]
    level = {"above": 0.5, "clear": 0.2, "repeat_interval": "30d", "jitter": "0s"}
    drifts = {"metric": {"source": "drift", "expr": "feature_psi", "match": {"model": DRIFT}, **level}}
    pushed = {"metric": {"source": "values", "match": {"model": "pushed"}, **level}}
    alerted = {"alert": {"source": "alerts", "match": {"model": ALERT}, "repeat_interval": "30d"}}
    minutely = {"schedule": {"cron": "* * * * *", "recover_missed": "all"}}
    return [
        *numbered,
        *objects,
        _by_region(),
        _rule("minutely", {"minute": minutely}, {"slot": "${string(trigger.scheduled_at)}"}),
        _rule("drifted", {"drifts": drifts}, {}),
        _rule("alerted", {"page": alerted}, {}),
        _rule("pushed", {"jumps": pushed}, {}),
        _rule(
            "victim", {"bad": {"data": {"source": "push", "match": {"model": POISON}, "batch": _batch(50, "1m")}}}, {}
        ),
        _rule("victim-records", {"bad": {"data": {"source": "records", "match": {"model": POISON}}}}, {}, "1m"),
        _victim_of_keys(),
        _rule(
            "victim-values", {"bad": {"metric": {"source": "values", "match": {"model": POISON}, **level}}}, {}, "1m"
        ),
    ]


def is_judged(rule: str) -> bool:
    """Whether the rule is judged, so that no poison and no edit is meant for it."""
    return rule in {one["name"] for one in judged()} and not rule.startswith("victim")


def _batch(events: int, at_the_latest: str) -> dict[str, Any]:
    return {"at_least": {"events": events}, "max_wait": at_the_latest}


def _numbered(name: str, source: str, model: str) -> dict[str, Any]:
    data = {"source": source, "match": {"model": model}, "batch": _batch(10, "15s")}
    return _rule(name, {"ten": {"data": data}}, {"took": "${events.map(e, e.data.n)}"})


def _objects(name: str, source: str, prefix: str) -> dict[str, Any]:
    match = {"event.type": "s3:ObjectCreated:*", "key": f"{prefix}/**"}
    data = {"source": source, "match": match, "batch": _batch(10, "15s")}
    return _rule(name, {"ten": {"data": data}}, {"took": "${events.map(e, e.data.key)}"})


def _by_region() -> dict[str, Any]:
    data = {"source": "records", "where": "has(event.data.region)", "batch": _batch(10, "30s")}
    rule = _rule("by-region", {"some": {"data": data}}, {"took": "${events.map(e, e.data.n)}"})
    return {**rule, "for_each": {"by": {"some": "event.data.region"}}}


def _rule(
    name: str, triggers: dict[str, Any], parameters: dict[str, str], cooldown: str | None = None
) -> dict[str, Any]:
    limits: dict[str, Any] = {"overlap": "allow_all", "max_active": 1000}
    if cooldown is not None:
        limits["cooldown"] = {"period": cooldown}
    submit = {"workflow_template": TEMPLATE_NAME, "parameters": parameters}
    return {"name": name, "triggers": triggers, "limits": limits, "submit": submit}


def _victim_of_keys() -> dict[str, Any]:
    """Uses every value of `place` as a key."""
    data = {"source": "records", "match": {"model": POISON}, "where": "has(event.data.place)", "batch": _batch(9, "1m")}
    rule = _rule("victim-keys", {"bad": {"data": data}}, {})
    return {**rule, "for_each": {"by": {"bad": "event.data.place"}, "max_keys": 50}}


def many_keys() -> dict[str, Any]:
    """One rule with 10,000 keys, each with a window. No window waits longer than the retention of the ledger."""
    data = {"source": "records", "where": "has(event.data.user)", "batch": _batch(3, "4m")}
    return {
        "name": "many-keys",
        "mode": "shadow",
        "triggers": {"some": {"data": data}},
        "for_each": {"by": {"some": "event.data.user"}, "max_keys": KEYS},
        "submit": {"workflow_template": TEMPLATE_NAME},
    }


def crowd() -> list[list[dict[str, Any]]]:
    """The other rules, file by file: they decide and start nothing."""
    count = RULES - len(judged()) - 1
    rules = [_one_of_crowd(n) for n in range(count)]
    return [rules[n::CROWD_FILES] for n in range(CROWD_FILES)]


def _one_of_crowd(n: int) -> dict[str, Any]:
    kinds: Sequence[dict[str, Any]] = (
        {"some": {"data": {"source": "records", "match": {"group": f"g-{n}"}, "batch": _batch(20, "2m")}}},
        {"hourly": {"schedule": {"cron": f"{n % 60} * * * *"}}, "old": {"freshness": {"max_age": "7d"}}},
        {"high": {"metric": {"source": "values", "match": {"model": f"crowd-{n}"}, "above": 1, "jitter": "0s"}}},
        {"some": {"data": {"source": "push", "match": {"group": f"g-{n}"}, "where": "event.data.n >= 0",
                           "distinct_by": "event.data.n", "batch": {"debounce": "20s", "max_wait": "2m"}}}},
    )  # fmt: skip
    return {
        "name": f"crowd-{n:03}",
        "mode": "shadow",
        "labels": {"team": f"team-{n % 20}"},
        "triggers": kinds[n % len(kinds)],
        "submit": {"workflow_template": TEMPLATE_NAME, "parameters": {"took": "${window.events}"}},
    }


def file_text(rules: Sequence[dict[str, Any]]) -> str:
    return json.dumps({"version": 1, "rules": list(rules)}, indent=1)  # JSON is YAML


def files(where: dict[str, Any]) -> dict[str, str]:
    """The initial rules' folder: name and text of each file."""
    crowded = {name: file_text(rules) for name, rules in zip(FILES, crowd(), strict=True)}
    named = {SOURCES_FILE: json.dumps({"version": 1, "sources": where, "rules": []})}
    return {**named, JUDGED_FILE: file_text([*judged(), many_keys()]), **crowded}
