"""The kinds of values that fields take, for the reader of YAML, which runs before the models are loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from retrainer.config.tree import Path

NUMBERS = frozenset(
    (
        *(
            "above",
            "below",
            "clear",
            "connections",
            "consecutive",
            "events",
            "factor",
            "limit",
            "max_active",
            "max_keys",
        ),
        *("max_dead_letters", "max_queue", "max_series", "max_wrong_tokens", "n", "pause_after_failures", "percent"),
        *("port", "priority", "reserve", "sample", "series", "version"),
    )
)
"""Fields that take a number and no text."""
BOOLEANS = frozenset(("check_hostname", "ignore_own_outputs", "isolate_steps"))
"""Fields that take true or false."""
SECRETS = frozenset(("client_secret", "hmac", "key_password", "password", "read_token", "token"))
"""Fields that refer to a secret: what is written there by mistake is in no message."""
_ANY = frozenset(("parameters", "with", "match", "spec"))
"""Maps whose values may be of any kind."""
_TEXTS = _ANY | {"labels", "annotations", "headers"}
EXAMPLES = {
    "pools": "{gpu: 4}",
    "budgets": "{growth: {runs: 10, per: 30d}}",
    "calendars": "{year_end: {dates: [2026-12-24/2027-01-02]}}",
    "labels": "{team: growth}",
    "match": "{key: churn/**}",
    "limits": "{cooldown: 6h}",
    "at_least": "{events: 20}",
    "batch": "{at_least: {events: 20}}",
    "when": "{any: [TRIGGER]}",
}
"""A value of a map that may be left empty by mistake."""
SAMPLES = {
    "bootstrap_servers": "[kafka:9092]",
    "by": "{TRIGGER: event.data.FIELD}",
    "certificate": "/tls/tls.crt",
    "client_id": "NAME",
    "client_secret": "{from_env: NAME}",
    "cron": '"30 2 * * *"',
    "engine": "{type: argo, namespaces: [ml]}",
    "from_env": "NAME",
    "from_file": "/path/of/it",
    "gpu_hours": "outputs.FIELD",
    "group_id": "retrainer",
    "key": "/tls/tls.key",
    "limit": "3",
    "max_age": "14d",
    "mechanism": "SCRAM-SHA-512",
    "n": "2",
    "name": "NAME",
    "namespaces": "[ml]",
    "of": "[TRIGGER, TRIGGER]",
    "parameter": "NAME",
    "password": "{from_env: NAME}",
    "path": "/hooks/NAME",
    "per": "30d",
    "period": "6h",
    "queue_url": "https://sqs.eu-central-1.amazonaws.com/123456789012/objects",
    "rule": "NAME",
    "runs": "FOLDER",
    "source": "NAME",
    "submit": "{workflow_template: NAME}",
    "templates": "FOLDER",
    "timestamp": "2026-11-24T08:00:00Z",
    "token": "{from_env: NAME}",
    "token_endpoint": "https://…",
    "triggers": '{daily: {schedule: "@daily"}}',
    "uri": "file:///manifests",
    "url": "http://HOST:9090",
    "username": "NAME",
    "version": "1",
    "via": "{webhook: {path: /hooks/s3}}",
}
"""A value of each field that is needed. `type` has a message of its own."""
MAPS = frozenset(
    ("sources", "rules", "templates", "triggers", "defaults", "submit", "parameters", "metadata", "for_each")
)
"""Other maps and lists."""


def takes_text(path: Path) -> bool:
    """Whether a text may fit at a path; it may where nothing is known."""
    if _TEXTS.intersection(map(str, path)):
        return True
    return path[:1] not in (("pools",), ("budgets",)) and "at_least" not in path and not NUMBERS.intersection(path[-1:])


def takes_boolean(path: Path) -> bool:
    """Whether true or false fits at a path."""
    return bool(_ANY.intersection(map(str, path)) or BOOLEANS.intersection(path[-1:]))


def is_secret(path: Path) -> bool:
    """Whether the field at a path refers to a secret."""
    return bool(SECRETS.intersection(path[-1:]))
