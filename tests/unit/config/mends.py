"""What a person writes after reading a message whose correction is not simply put in at its place."""

from __future__ import annotations

from typing import NamedTuple

TOKEN = "polling_interval: 30s, token: {from_env: PATH}"


class Mend(NamedTuple):
    """``new`` is written in place of the mistake; ``old`` elsewhere becomes ``then``."""

    new: str
    old: str = ""
    then: str = ""


PLACEHOLDERS = ("NAME", "FIELD", "VALUE", "LABEL", "TRIGGER", "LIST", "TEXT", "CALENDAR", "/path/of/it", "…")
"""What stands in a message for something that only its reader knows."""
MENDS: dict[str, Mend] = {
    "the same key twice": Mend("pools: {gpu: 4}"),
    "an anchor, an alias, `<<`": Mend("pools: {gpu: 4}"),
    "`.nan`, `.inf`": Mend("above: 1"),
    "a key without a value": Mend("pools: {gpu: 4}"),
    "`${…}` in braces, unquoted": Mend('{since: "${window.start}"'),
    "`${{ … }}` in braces, unquoted": Mend('"${{ model }}-train"'),
    "braces alone, unquoted": Mend('description: "{{ model }}"'),
    "more than 32 levels": Mend("workflow_template: churn-train"),
    "a tab": Mend("pools:\n  gpu: 4"),
    "a colon in a text": Mend('description: "Daily: at night"'),
    "a quote left open": Mend("description: 'Daily'"),
    "a control character": Mend("description: Daily"),
    "no version, or another": Mend("version: 1"),
    "a required field is missing": Mend('schedule: {cron: "30 2 * * *", timezone'),
    "a value of another type": Mend("rows: 100"),
    "an unknown type": Mend("type: directory"),
    "a duration without its unit": Mend("timeout: 8h"),
    "a secret written out": Mend("token: {from_env: HOME}"),
    "a secret that is not set": Mend("from_env: HOME"),
    "a secret file that does not exist": Mend("from_file: rules.yaml"),
    "two rules with one name": Mend("name: basket"),
    "a name over the limit": Mend(f"name: {'b' * 63}"),
    "a template's parameter that is not given": Mend("with: {model: sales}"),
    "`${{ … }}` without such a parameter": Mend('"${{ model }}-train"'),
    "two sources that listen on one path": Mend("path: /hooks/alerts"),
    "a data trigger without a key": Mend("{new_data: event.data.bucket}"),
    "a cron that does not parse": Mend("30 23 * * *"),
    "a cron that never fires": Mend("0 0 28 2 *"),
    "a bad date": Mend("2026-12-24"),
    "no kind of trigger, or two": Mend('daily: {schedule: "@daily"}'),
    "`at_least: {rows: …}` without `rows:`": Mend("          rows: event.data.rows\n"),
    "`at_least` without a size": Mend("{events: 20}"),
    "`debounce` longer than `max_wait`": Mend("debounce: 6d"),
    "a reversed range": Mend("run202[3-4]/*"),
    "`**/` within a name": Mend("churn/**/x"),
    "CEL that does not compile": Mend("event.data.size > 1"),
    "a condition that is never true or false": Mend("event.data.size > 0"),
    "a condition that is always the same": Mend('"event.data.size > 0"'),
    "more than 2,048 characters": Mend("size > 1024 && event.data.key in ['a', 'b']"),
    "too many of all, exists, exists_one, map, filter": Mend("event.attributes.x.all(a, a.all(b, 'c' in b))"),
    "a function with too few values": Mend("event.data.key.contains('a')"),
    "a function of another kind of value": Mend("size(string(event.time)) > 0"),
    "an invalid pattern": Mend("event.data.key.matches('a[(]')"),
    "an operator between two kinds": Mend("\"event.type + string(1) == 'a'\""),
    "a key that is a map": Mend("event.data.bucket"),
    "`key` without `for_each`": Mend(
        'submit: {parameters: {p: "${key}"}, workflow_template: basket-train',
        "    unless: [incident]\n",
        "    unless: [incident]\n    for_each: {by: {drift: event.data.labels.model}}\n",
    ),
    "`upstream` without an `after` trigger": Mend(
        "${upstream.id}", "      nightly:\n", "      rebuilt: {after: {rule: sales}}\n      nightly:\n"
    ),
    "brackets deeper than 32 levels": Mend('"(true)"'),
    "`${` without `}`": Mend("${window.start}"),
    "no threshold": Mend("above: 0.2, "),
    "two thresholds": Mend("above: 0.2, clear"),
    "`series` and `percent`": Mend("{series: 3}"),
    "a metric without a query": Mend("expr: psi, "),
    "a metric of alerts": Mend(
        "{source: push, match: {metric: ks}",
        "p: {metric: {source: push, match: {metric: ks}, below: 0.05, clear: 0.1}}",
        "p: {alert: {source: alerts, match: {alertname: Ks}}}",
    ),
    "an alert of a webhook": Mend("source: alerts, match: {alertname: Drift}"),
    "a cycle of `after` triggers": Mend("rule: sales"),
    "a trigger that `when` does not name": Mend("any: [page, "),
    "in `when` and in `unless`": Mend("any: [page, "),
    "more than eight nested groups": Mend("rebuilt, {all"),
    "a schedule, data or after trigger in `unless`": Mend(
        "stale, rebuilt, {all: [drift, p], within: 24h}]}\n    unless: [incident]"
    ),
    "a reserve without `gpu_hours`": Mend("{runs: 4, gpu_hours: 400, per: 30d, reserve: 6}"),
    "`backoff` without a cooldown": Mend("cooldown: 6h, "),
    "no template to run, or two": Mend("workflow_template: churn-train"),
    "an inline manifest without a spec": Mend("workflow: {kind: Workflow, spec: {}}"),
    "a manifest's namespace": Mend("namespace: ml\n      workflow: {spec: {}}"),
    "labels of Argo or of retrainer": Mend("labels: {example.org/x: a}"),
    "`token` and `basic`": Mend(TOKEN),
    "a password in `url`": Mend(
        'url: "http://prometheus:9090", polling_interval: 30s, basic: {username: me, password: {from_env: PATH}}',
        "url: url:",
        "url:",
    ),
    "a password in `headers`": Mend(TOKEN),
    "certificates that do not exist": Mend("polling_interval: 30s, tls: {ca_file: /etc/ssl/certs/ca-certificates.crt}"),
    "both of `topics` and `topic_pattern`, or neither": Mend("topics: [orders], "),
    "an invalid topic pattern": Mend("topic_pattern: 'orders-[(]'"),
    "`avro` without a registry": Mend(
        'group_id: retrainer, format: avro, schema_registry: {url: "http://registry:8081"}'
    ),
    "SASL without what its mechanism needs": Mend(
        "group_id: retrainer, sasl: {mechanism: SCRAM-SHA-512, username: me, password: {from_env: PATH}}"
    ),
    "MSK without TLS": Mend("group_id: retrainer, sasl: {mechanism: AWS_MSK_IAM}, tls: {}"),
    "an S3 source without a channel, or with two": Mend(
        "{sqs: {queue_url: https://sqs.eu-central-1.amazonaws.com/123456789012/objects}}"
    ),
    "`sweep` without `buckets`": Mend("type: s3, sweep: 6h, buckets: [{name: features}], "),
    "`@reboot`": Mend("@daily"),
    "a zone in the expression": Mend("0 2 * * *"),
    "an offset": Mend("Etc/GMT-2"),
    "`secretKeyRef`": Mend("token: {from_env: HOME}"),
    "`secrets`": Mend("token: {from_env: TOKEN}"),
    "a limit beside the triggers": Mend("limits: {cooldown: 6h, mute: [year_end]}"),
    "`gpu_hours` with a unit": Mend('gpu_hours: "4"'),
    "a list of tags": Mend("labels: {team: growth}"),
    "`for` without a unit": Mend("for: 30m"),
    "`by` in a metric": Mend(
        "for: 30m",
        "    unless: [incident]\n",
        "    unless: [incident]\n    for_each: {by: {drift: event.data.labels.model}}\n",
    ),
    "a source in place of its name": Mend(
        "source: inbox\n", "sources:\n", "sources:\n  inbox: {type: directory, path: in, rows: lines}\n"
    ),
    "`===`": Mend("\"event.data.key == 'a'\""),
    "`<>`": Mend("\"event.data.key != 'a'\""),
    "`like`": Mend("\"event.data.key.startsWith('a')\""),
    "`in (…)`": Mend("\"event.data.key in ['a', 'b']\""),
    "`data` for `event.data`": Mend("event.data.bucket"),
    "`len`": Mend('"size(event.data.key) > 3"'),
    "`now()`": Mend("\"event.time > timestamp('2026-11-24T00:00:00Z')\""),
    "`a if b else c`": Mend("${true ? 1 : 2}"),
    "a number added to a text": Mend("${'a' + string(1)}"),
}
"""By the name of the mistake."""
ALTERNATIVES = [
    (
        "an S3 source without a channel, or with two",
        "{kafka: {bootstrap_servers: [kafka:9092], topics: [objects], group_id: retrainer}}",
    ),
    ("an S3 source without a channel, or with two", "{webhook: {path: /hooks/s3}}"),
    ("`any` and `all` in one group", "{all: [drift, p, {any: [p]}], within"),
    ("a reserve above the budget", "{gpu_hours: 6, per: 30d, reserve: 6}"),
    ("a reserve without `gpu_hours`", "{runs: 4, per: 30d}"),
    ("a query of a webhook", "match: {metric: ks}"),
    ("no threshold", "below: 0.05, "),
    ("a budget without a limit", "{gpu_hours: 400, per: 30d}"),
    ("no template to run, or two", "cluster_workflow_template: churn"),
    ("no template to run, or two", "workflow: {spec: {}}"),
    ("both of `topics` and `topic_pattern`, or neither", "topic_pattern: 'orders-.*', "),
    ("`at_least` without a size", "{bytes: 5GiB}"),
    ("`at_least` without a size", "{rows: 100}"),
    ("`**/` within a name", "churn*/x"),
    ("a bad date", "2026-12-24/2027-01-02"),
    ("a cron that never fires", "0 0 29 2 *"),
    ("a duration without its unit", "timeout: 8s"),
    ("a key without a value", "pools:\n  gpu: 4"),
    ("a list for `when`", "when: {all: [page, stale, rebuilt, drift, p]}"),
    ("a number for `at_least`", "at_least: {rows: 20}"),
    ("a number for a budget", "{growth: {gpu_hours: 400, per: 7d}}"),
    ("a registry without `avro`", "group_id: retrainer, format: avro, schema_registry: {url: 'http://registry'}"),
    ("a secret written out", "token: {from_file: rules.yaml}"),
    ("an abbreviation of a zone", "Asia/Manila"),
    ("an offset", "Europe/Berlin"),
]
"""What some messages offer, too: the name of the mistake, and what is written in its place."""
WHOLE_FILES: dict[str, tuple[str, str]] = {
    "a chain of more than eight rules": ("{rule: r7}", "{rule: r6}"),
    "a file or folder that does not exist": ("[nowhere]", "[rules]"),
    "a Kubernetes manifest among the rules": ("apiVersion: v1\nkind: ConfigMap\n", "version: 1\n"),
    "an unknown engine": ("argos}", "argo, namespaces: [ml]}"),
    "the API open to all without a token": ("0.0.0.0}", "0.0.0.0, token: {from_env: HOME}}"),
    "a read-only token alone": ("{read_token", "{token: {from_env: PATH}, read_token"),
    "a token for no namespace": ("HOME}}", "HOME}, namespaces: all}"),
    "bytes that are not UTF-8": ("\udcff", "ä"),
    "an empty file": ("", "version: 1"),
    "two documents in one file": ("---\nversion: 1\n", ""),
}
"""What is written in place of a part of a mistake that is a file of its own."""
