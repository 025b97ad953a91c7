"""What fields and values of cron, Kubernetes, GitHub Actions, Airflow and Prometheus are called here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retrainer.config.examples import entries, flow

if TYPE_CHECKING:
    from collections.abc import Container

_SYNONYMS = {
    "triggers": "on events sensors",
    "name": "dagid id jobname",
    "description": "desc comment doc docmd",
    "labels": "tags",
    "limits": "constraints policy",
    "submit": "action run job target task",
    "schedule": "scheduleinterval cron crontab timetable interval every",
    "cron": "schedule expression crontab",
    "timezone": "tz timezonename",
    "recover_missed": "catchup misfirepolicy",
    "catchup_window": "startingdeadlineseconds misfiregracetime",
    "except": "skip exclude excludedates",
    "where": "if condition filter expression predicate",
    "above": "threshold gt ge greaterthan upper max",
    "below": "lt le lessthan lower min",
    "clear": "resolve reset hysteresis",
    "expr": "query promql metricquery",
    "for": "duration pending waitfor",
    "match": "matchlabels matchers selector labels alertname alert paths prefix glob pattern",
    "rule": "needs dependson upstream externaldagid workflow",
    "outcome": "triggerrule status conclusion",
    "overlap": "concurrencypolicy concurrency",
    "max_active": "maxactiveruns parallelism",
    "pool": "queue semaphore",
    "period": "seconds duration",
    "timeout": "activedeadlineseconds timeoutminutes executiontimeout dagruntimeout",
    "retry": "retries maxretries attempts backofflimit retrystrategy",
    "limit": "retries attempts max",
    "parameters": "arguments params args inputs conf",
    "workflow_template": "workflowtemplateref templateref template",
    "cluster_workflow_template": "clusterworkflowtemplate clusterscope",
    "polling_interval": "interval pollinterval every period",
    "bootstrap_servers": "brokers servers brokerlist bootstrap",
    "topics": "topic",
    "group_id": "consumergroup group",
    "max_age": "age ttl olderthan",
    "max_wait": "timeout maxtime window",
    "debounce": "quietperiod idle settle",
    "mode": "suspend paused enabled disabled ispaused dryrun active",
}
"""By field of the format: what other tools call it, in lower case and without separators."""
_FIELDS: dict[str, list[str]] = {}
for _field, _names in _SYNONYMS.items():
    for _name in _names.split():
        _FIELDS.setdefault(_name, []).append(_field)
_VALUES = {
    "forbid": "skip",
    "allow": "allow_all",
    "replace": "terminate_other",
    "queue": "buffer_one",
    "success": "succeeded",
    "all_success": "succeeded",
    "failure": "failed",
    "all_failed": "failed",
    "one_failed": "failed",
    "always": "completed",
    "all_done": "completed",
    "enabled": "active",
    "disabled": "paused",
    "suspended": "paused",
    "dry_run": "shadow",
}
_UNITS = {"activedeadlineseconds": "s", "startingdeadlineseconds": "s", "seconds": "s", "timeoutminutes": "m"}
_OFF = {"mode": {True: "paused", False: "active"}, "recover_missed": {True: "all", False: "none"}}


def field_of(name: str, known: Container[str]) -> str:
    """Return the field that another tool calls ``name``, empty if there is none or it has no place here."""
    return next((field for field in _FIELDS.get(_word(name), ()) if field in known), "")


def field_hint(name: str, value: Any, known: Container[str]) -> str:
    """Return what to write instead of a field of another tool, empty if it is not one."""
    field = field_of(name, known)
    return f"write `{field}: {flow(_translated(field, _word(name), value))}`" if field else ""


def _word(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def value_hint(value: Any, choices: Container[str]) -> str:
    """Return the choice that another tool calls ``value``, empty if there is none."""
    meant = _VALUES.get(str(value).lower(), "")
    return f"write `{meant}`" if meant in choices else ""


def _translated(field: str, word: str, value: Any) -> Any:
    if field in _OFF and isinstance(value, bool):
        return _OFF[field][value != (word in ("enabled", "active"))]
    if isinstance(value, (int, float)) and word in _UNITS:
        return f"{value:g}{_UNITS[word]}"
    if field == "match" and isinstance(value, dict):
        return value
    if field == "parameters":
        return entries(value.get("parameters") if isinstance(value, dict) and "parameters" in value else value)
    if field == "match":
        items = value if isinstance(value, list) else [value]
        return {"alertname" if word in ("alertname", "alert") else "key": items[0] if items else ...}
    if isinstance(value, dict) and isinstance(value.get("name"), str):
        return value["name"]
    if isinstance(value, str):
        return _VALUES.get(value.lower(), value)
    return value if isinstance(value, (int, float, list)) else ...
