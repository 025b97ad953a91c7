"""Hypothesis strategies for the fault machine: rules, inputs and faults."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from retrainer.config.load import load_texts
from tests.unit.engine.grammar import BASE, EVENT, RULE
from tests.unit.engine.kit import data
from tests.unit.engine.switchboard import ALWAYS, BAD, KINDS, ONCE, SOMETIMES

SHARED = {"overlap": "allow_all", "max_active": 10000, "pool": "many", "budget": "team"}
GOOD = {
    "name": "good",
    "triggers": data({"kind": "g"}, at_least={"events": 2}),
    "limits": SHARED,
    "submit": {"workflow_template": "t", "parameters": {"p": "${window.last_key}"}},
}
WATCH = {
    "name": "watch",
    "triggers": {"m": {"metric": {"source": "push", "match": {"metric": "psi"}, "above": 0.5, "jitter": "0s"}}},
    "limits": SHARED,
    "submit": {"workflow_template": "t"},
}
EVERYTHING = {
    "d": {"data": {"source": "push", "match": {"kind": "g"}, "batch": {"at_least": {"events": 3}, "max_wait": "1h"}}},
    "k": {"data": {"source": "stream", "where": "event.data.who > 0", "rows": "2", "distinct_by": "event.data.key"}},
    "n": {"schedule": {"cron": "7 * * * *", "recover_missed": "all", "catchup_window": "3h"}},
    "m": {"metric": {"source": "push", "match": {"metric": "psi"}, "above": 0.4, "jitter": "0s", "no_data": "fire"}},
    "q": {"metric": {"source": "prom", "expr": "psi", "above": 0.0, "jitter": "0s"}},
    "a": {"alert": {"source": "alerts"}},
    "f": {"freshness": {"max_age": "7d", "jitter": "0s"}},
    "u": {"after": {"rule": "base", "outcome": "completed", "where": "upstream.rule == 'base'"}},
    "g": {"after": {"rule": "good"}},
}
"""Triggers of each kind, on the machine's inputs."""
BY_KEY = {"by": {"d": "string(event.data.who)", "k": "event.data.key", "m": "event.data.metric"}, "max_keys": 4}
RUNS = {"workflow_template": "t", "parameters": {"p": "${window.last_key} ${events.map(e, e.data.who)}"}}
RETRIED = {"retry": {"limit": 2, "backoff": {"duration": "1m"}}, "outputs": {"a": {"parameter": "a"}}}
FULL: list[dict[str, Any]] = [
    {"triggers": EVERYTHING, "limits": {"overlap": "allow_all"}, "submit": {**RUNS, **RETRIED}},
    {"triggers": EVERYTHING, "limits": SHARED, "submit": RUNS, "feedback": {"promoted": "outputs.a == 'x'"}},
    {"triggers": EVERYTHING, "for_each": BY_KEY, "limits": {"overlap": "cancel_other", "pool": "many"}, "submit": RUNS},
    {
        "triggers": EVERYTHING,
        "for_each": {**BY_KEY, "forget_after": "1h"},
        "limits": {"budget": {"gpu_hours": 9, "per": "1d"}, "cooldown": {"period": "5m"}, "pause_after_failures": 2},
        "submit": {**RUNS, **RETRIED},
        "cost": {"gpu_hours": "double(outputs.a)"},
    },
    {
        "triggers": EVERYTHING,
        "when": {
            "all": [{"any": ["d", "k", "m", "n", "g"]}, {"at_least": {"n": 1, "of": ["u", "f", "q"]}}],
            "within": "2h",
        },
        "unless": ["a"],
        "limits": {"overlap": "skip", "deadline": "1h", "mute": ["night"]},
        "submit": {**RUNS, "inputs_on_failure": "keep"},
    },
    {"triggers": EVERYTHING, "mode": "shadow", "submit": RUNS},
]
DRAWN = st.lists(st.one_of(st.sampled_from(FULL), st.sampled_from(FULL), RULE), min_size=2, max_size=2)
NEIGHBOURS = ("base", "good", "watch", "other")
"""`other` is drawn like the bad rule, and never changes."""
FAULTS: dict[str, st.SearchStrategy[Any]] = {
    "place": st.integers(0, 10**6),
    "kind": st.sampled_from(KINDS),
    "when": st.sampled_from([ALWAYS, ALWAYS, ONCE, SOMETIMES]),
    "number": st.integers(1, 3),
}
PUSHED = st.one_of(
    st.tuples(st.just("good"), st.integers(0, 40)),
    st.tuples(st.just("good"), st.integers(0, 40)),
    st.tuples(st.just("psi"), st.sampled_from([0.1, 0.5, 0.9])),
    st.tuples(st.just("any"), EVENT),
    st.tuples(st.just("poison"), st.text(max_size=5)),
)
SECONDS = st.sampled_from([0.5, 1.0, 61.0, 3600.0, 86400.0, 32 * 86400.0, 400 * 86400.0])
PHASES = st.sampled_from(["Succeeded", "Succeeded", "Failed", "Error", "Running", "", "gone", "deleting"])
ODD_OUTPUTS = st.dictionaries(st.sampled_from(["a", "nvidia.com/gpu"]), st.text(max_size=3), max_size=2)


def configured(bad: list[dict[str, Any]], other: list[dict[str, Any]], *, with_bad: bool) -> Any:
    """The neighbours, and the first valid one of the drawn rules. If none is valid, that rule is missing."""
    base = {**BASE, "rules": [*BASE["rules"], GOOD, WATCH]}
    texts = {"base": json.dumps(base)}
    for name, drawn in (("other", other), (BAD, bad)) if with_bad else (("other", other),):
        for each in drawn:
            text = json.dumps({"version": 1, "rules": [{"name": name, **each}]})
            found, _ = load_texts({**texts, name: text})
            if any(known.name == name for known in found.rules):
                texts[name] = text
                break
    configuration, problems = load_texts(texts)
    assert not problems
    return configuration
