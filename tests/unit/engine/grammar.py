"""Hypothesis strategies for rules, events and clock steps: all kinds, with values at the limits of validity."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.unit.engine.kit import DAY

NAMES = ("a", "b", "c")
DURATIONS = ("0s", "1ms", "1s", "90s", "1h", "7d", "31d", "366d", "36500d")
SPREADS = DURATIONS[:7]
CRONS = ("* * * * *", "@daily", "*/7 3-9 * * mon-fri", "0 0 29 2 *", "0 0 31 12 0-7")
ZONES = ("UTC", "Europe/Berlin", "Pacific/Apia", "America/St_Johns", "Africa/Monrovia", "EST5EDT")
CALENDARS = {
    "always": {"dates": ["0001-01-01/9999-12-31"]},
    "week": {"weekdays": ["sat", "sun"], "timezone": "Pacific/Apia"},
    "night": {"times": ["22:00-06:00"], "timezone": "Europe/Berlin"},
    "far": {"dates": ["2900-01-01/9999-12-31"], "times": ["00:00-24:00"]},
}
VALUES = ("x", "*", "[a-z]*", "**/x", "", 0, -1, 2**62, 0.1, True, False)


def some(**fields: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


def of(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from(values)


def lists(*values: Any) -> st.SearchStrategy[list[Any]]:
    return st.lists(of(*values), max_size=2, unique=True)


MATCH = st.dictionaries(of("key", "size", "a.b", "event.type"), of(*VALUES), max_size=2)
DURATION, CEL_VALUE = of(*DURATIONS), of("event.data.value", "event.data.a.b", "1.5", "double(event.data.size)")
SCHEDULE = some(
    timezone=of(*ZONES),
    recover_missed=of("last", "none", "all"),
    catchup_window=DURATION,
    jitter=of(*SPREADS),
    **{"except": lists(*CALENDARS)},
    dst=some(missing=of("shift", "skip"), repeated=of("first", "both")),
).flatmap(lambda rest: of(*CRONS).map(lambda cron: {"schedule": {"cron": cron, **rest}}))
BATCH = some(at_least=of({"events": 1}, {"events": 10**15}, {"bytes": "8192TiB"}), max_wait=DURATION, debounce=DURATION)
DATA = some(
    match=MATCH,
    where=of("event.data.size > 1", "false", "event.data.x.matches('(a+)+$')"),
    rows=of("1", "event.data.rows"),
    distinct_by=of("event.id", "event.data.key"),
    batch=BATCH,
).flatmap(lambda rest: of("push", "push", "stream").map(lambda source: {"data": {"source": source, **rest}}))
METRIC = some(
    above=of(0.0, -1.5, 1e15),
    value=CEL_VALUE,
    consecutive=of(1, 1000),
    no_data=of("hold", "ok", "fire"),
    max_sample_age=DURATION,
    repeat_interval=DURATION,
    jitter=DURATION,
    match=MATCH,
    at_least=of({"series": 10**9}, {"percent": 0.0001}, {"percent": 100, "of": 10**9}),
    **{"for": DURATION},
).map(lambda rest: {"metric": {"source": "push", "above": 0.0, **rest}})
QUERY = some(no_data=of("hold", "ok", "fire"), **{"for": DURATION}).map(
    lambda rest: {"metric": {"source": "prom", "expr": "psi", "above": 0.0, "jitter": "0s", **rest}}
)
ALERT = some(match=MATCH, repeat_interval=DURATION, **{"for": DURATION}).map(
    lambda rest: {"alert": {"source": "alerts", **rest}}
)
FRESHNESS = some(of=of("succeeded", "promoted"), jitter=DURATION, min_retry_interval=of(*DURATIONS[1:])).flatmap(
    lambda rest: of(*DURATIONS[1:]).map(lambda age: {"freshness": {"max_age": age, **rest}})
)
AFTER = of(
    {"after": {"rule": "base"}},
    {"after": {"rule": "base", "outcome": "failed"}},
    {"after": {"rule": "base", "outcome": "completed", "where": "upstream.parameters.size() == 0"}},
)
KINDS = (SCHEDULE, DATA, METRIC, QUERY, ALERT, FRESHNESS, AFTER)
TRIGGERS = st.dictionaries(of(*NAMES), st.one_of(*KINDS), min_size=1)
LIMITS = some(
    overlap=of("skip", "buffer_one", "allow_all", "cancel_other", "terminate_other"),
    max_active=of(1, 10000),
    cooldown=DURATION.map(lambda period: {"period": period, "from": "fired"}),
    budget=of("team", {"runs": 1, "per": "36500d"}, {"gpu_hours": 1e9, "per": "1s", "reserve": 0.001}),
    mute=lists(*CALENDARS),
    pool=of("none", "many"),
    priority=of(-(10**9), 10**9),
    pause_after_failures=of(1, 10**9),
    deadline=DURATION,
)
RETRY = of(
    {"limit": 100, "backoff": {"duration": "36500d", "factor": 1000, "max_duration": "36500d"}},
    {"limit": 0},
    {"limit": 2, "backoff": {"duration": "1s"}},
)
PARAMETERS = of(
    {"p": "${window.end} ${key}"},
    {"p": "${previous.id}", "q": 5},
    {"p": "${events.map(e, e.data.key)}"},
    {"p": "${window.last_key}/${events[0].data.x}"},
)
RULE = st.builds(
    lambda triggers, submit, rest, combine, keyed: {
        "triggers": triggers,
        "submit": {"workflow_template": "t", **submit},
        **rest,
        **({"when": combine(list(triggers))} if combine else {}),
        **({"for_each": _keys(triggers, keyed)} if keyed else {}),
    },
    TRIGGERS,
    some(retry=RETRY, timeout=DURATION, parameters=PARAMETERS, consume=of("succeeded", "fired")),
    some(limits=LIMITS, mode=of("active", "shadow", "paused")),
    of(
        None,
        lambda names: {"any": names, "within": "36500d"},
        lambda names: {"all": names},
        lambda names: {"at_least": {"n": len(names), "of": names}, "within": "1ms"},
    ),
    of(None, "event.id", "event.data.key"),
)


def _keys(triggers: dict[str, Any], expression: str) -> dict[str, Any]:
    """One poll of a query serves all keys, so its series have no key here."""
    by = {
        name: expression for name, t in triggers.items() if "data" in t or "expr" not in t.get("metric", {"expr": ""})
    }
    return {"by": by, "max_keys": 3, "forget_after": "1s"}


DATUM = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)
EVENT = st.dictionaries(of("key", "size", "value", "a", "x", "rows", "labels", "metric"), DATUM, max_size=4)
STEPS = of(0.0, 0.001, 61.0, 3600.0, DAY, 32 * DAY, 40 * 365 * DAY, 101 * 365 * DAY, 1000 * 365 * DAY)
BASE = {
    "version": 1,
    "sources": {
        "push": {"type": "webhook", "path": "/hooks/push"},
        "alerts": {"type": "alertmanager", "path": "/hooks/alerts"},
        "prom": {"type": "prometheus", "url": "http://prometheus:9090"},
        "stream": {"type": "kafka", "bootstrap_servers": ["broker:9092"], "topics": ["t"], "group_id": "g"},
    },
    "calendars": CALENDARS,
    "pools": {"none": 0, "many": 10**9},
    "budgets": {"team": {"runs": 10**9, "per": "1d"}},
    "rules": [
        {
            "name": "base",
            "triggers": {"s": {"schedule": {"cron": "* * * * *"}}},
            "submit": {"workflow_template": "t"},
        }
    ],
}
