# ruff: noqa: E501 - a table with one case a line
"""The mistakes in docs/reference/configuration-errors.md, each made by one change to a valid file.

`python -m tests.unit.config.mistakes` prints the tables of that page.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from retrainer.config.errors import shown
from retrainer.config.load import validate
from tests.unit.config.mistake import Mistake
from tests.unit.config.other_tools import OF_OTHER_TOOLS

if TYPE_CHECKING:
    from retrainer.config.errors import Problem

ROOT = Path(__file__).parents[3]
GOOD = (ROOT / "tests/unit/config/good.yaml").read_text()


def _settings(more: str) -> str:
    return f"version: 1\nengine: {{type: argo, namespaces: [ml]}}\n{more}\n"


def _chain(rules: int) -> str:
    begin = 'version: 1\nrules:\n  - {name: r0, triggers: {t: {schedule: {cron: "@daily"}}}, submit: {workflow_template: x}}\n'
    return begin + "".join(
        f"  - {{name: r{i}, triggers: {{t: {{after: {{rule: r{i - 1}}}}}}}, submit: {{workflow_template: x}}}}\n"
        for i in range(1, rules)
    )


TABLES: dict[str, list[Mistake]] = {
    "YAML": [
        Mistake("the same key twice", "pools: {gpu: 4}", "pools: {gpu: 4, gpu: 5}"),
        Mistake("an anchor, an alias, `<<`", "pools: {gpu: 4}", "pools: &all {gpu: 4}"),
        Mistake("`no`, `yes`, `on`, `off` unquoted", "team: growth", "team: no"),
        Mistake("… also as a key", "team: growth", "on: growth"),
        Mistake("`22:22` unquoted", "description: Daily", "description: 22:22"),
        Mistake("`017`, `0o17` unquoted", "gpu: 4", "gpu: 017"),
        Mistake("`1e3` unquoted", "gpu: 4", "gpu: 1e3"),
        Mistake("`1_000` unquoted", "gpu: 4", "gpu: 1_000"),
        Mistake("`.nan`, `.inf`", "above: 0.2", "above: .nan"),
        Mistake("a number beyond 64 bits", "gpu: 4", "gpu: 9223372036854775808"),
        Mistake("a key without a value", "pools: {gpu: 4}", "pools:"),
        Mistake("`${…}` in braces, unquoted", '{since: "${window.start}"', "{since: ${window.start}"),
        Mistake("`${{ … }}` in braces, unquoted", '"${{ model }}-train"', "${{ model }}-train"),
        Mistake("braces alone, unquoted", "description: Daily", "description: {{ model }}"),
        Mistake("more than 32 levels", "workflow_template: churn-train", f"workflow: {{spec: {'[' * 32}{']' * 32}}}", "workflow: {spec: [[[[…"),
        Mistake("a tab", "pools: {gpu: 4}", "pools:\n\tgpu: 4", "(a tab) gpu: 4"),
        Mistake("a colon in a text", "description: Daily", "description: Daily: at night"),
        Mistake("a quote left open", "description: Daily", "description: 'Daily"),
        Mistake("a control character", "description: Daily", "description: Daily\x07", "(a bell)"),
        Mistake("a tag", "description: Daily", "description: !!str Daily"),
        Mistake("bytes that are not UTF-8", "", "version: 1 # \udcff", "(the byte 0xff)"),
        Mistake("an empty file", "", "", "(nothing)"),
        Mistake("two documents in one file", "", "version: 1\n---\nversion: 1\n", "---"),
        Mistake("no version, or another", "version: 1", "version: 2"),
    ],
    "Fields": [
        Mistake("an unknown field", "overlap: skip", "overlapp: skip"),
        Mistake("a required field is missing", 'schedule: {cron: "30 2 * * mon-fri", timezone', "schedule: {timezone"),
        Mistake("a value of another type", "rows: 20", "rows: true"),
        Mistake("a number where a text belongs", "team: growth", "team: 5"),
        Mistake("a value that is not among the choices", "overlap: skip", "overlap: skp"),
        Mistake("an unknown type", "type: directory", "type: directry"),
        Mistake("a duration without its unit", "timeout: 8h", "timeout: 8"),
        Mistake("a duration that means never", "timeout: 8h", "timeout: 365000d"),
        Mistake("a number beyond its bound", "overlap: skip", "overlap: skip, pause_after_failures: 5000000000"),
        Mistake("a secret written out", "token: {from_env: HOME}", "token: s3cr3t"),
        Mistake("a secret that is not set", "from_env: HOME", "from_env: NOT_SET"),
        Mistake("a secret file that does not exist", "from_env: HOME", "from_file: /secrets/none"),
    ],
    "Names": [
        Mistake("two rules with one name", "name: basket", "name: churn"),
        Mistake("a name over the limit", "name: basket", f"name: {'b' * 64}", "name: bbbb… (64)"),
        Mistake("capital letters", "name: basket", "name: Basket"),
        Mistake("an unknown source", "source: lake", "source: lakee"),
        Mistake("an unknown pool", "pool: gpu", "pool: gpus"),
        Mistake("an unknown calendar", "except: [year_end]", "except: [yearend]"),
        Mistake("an unknown budget", "budget: growth", "budget: growh"),
        Mistake("an unknown template", "template: nightly", "template: nightli"),
        Mistake("a template's parameter that is not given", "with: {model: sales}", "with: {}"),
        Mistake("an unknown parameter of a template", "with: {model: sales}", "with: {model: sales, hour: 2}"),
        Mistake("`${{ … }}` without such a parameter", '"${{ model }}-train"', '"${{ modl }}-train"'),
        Mistake("two sources that listen on one path", "path: /hooks/alerts", "path: /hooks/push"),
        Mistake("`for_each` of an unknown trigger", "{new_data: event", "{newdata: event"),
        Mistake("`for_each` of a schedule", "{new_data: event", "{nightly: event.data.x, new_data: event"),
        Mistake("a data trigger without a key", "{new_data: event.data.bucket}", "{}"),
    ],
    "Schedules and data": [
        Mistake("a cron that does not parse", "30 2 * * mon-fri", "30 25 * * *"),
        Mistake("a cron that never fires", "30 2 * * mon-fri", "0 0 30 2 *"),
        Mistake("an unknown time zone", "Europe/Berlin", "Europe/Berln"),
        Mistake("a bad date", "2026-12-24/2027-01-02", "2026-13-01"),
        Mistake("no kind of trigger, or two", 'daily: {schedule: {cron: "@daily"}}', "daily: {}"),
        Mistake("`at_least: {rows: …}` without `rows:`", "          rows: event.data.rows\n", "", "(no rows:)"),
        Mistake("`at_least` without a size", "{rows: 20}", "{}"),
        Mistake("`debounce` longer than `max_wait`", "debounce: 10m", "debounce: 8d"),
        Mistake("a window shorter than the polling interval", "debounce: 10m", "debounce: 10s"),
        Mistake("a match of an unknown field", "{bucket: features", "{event.sorce: features"),
        Mistake("a reversed range", "churn/**", "run[2024-2023]/*"),
        Mistake("`**/` within a name", "churn/**", "churn**/x"),
        Mistake(
            "own outputs by an unknown field",
            "          rows: event.data.rows\n",
            "          rows: event.data.rows\n          ignore_own_outputs: {event.sorce: a}\n",
            "ignore_own_outputs: {event.sorce: a}",
        ),
    ],
    "Expressions": [
        Mistake("CEL that does not compile", "event.data.size > 1024", "event.data.size >"),
        Mistake("a condition that is never true or false", "event.data.size > 1024", "event.data.size + 1024"),
        Mistake("a condition that is always the same", '"event.data.size > 1024"', "\"'yes'\""),
        Mistake("a name that does not exist", "event.data.size > 1024", "evnt.data.size > 1024"),
        Mistake("a field that never exists", "${window.start}", "${window.strat}"),
        Mistake("more than 2,048 characters", "size > 1024", f"size > 1024{' || true' * 300}", "… || true || true"),
        Mistake("too many of all, exists, exists_one, map, filter", "event.data.size > 1024", "event.attributes.x.all(a, a.all(b, b.all(c, c)))"),
        Mistake("a function that does not exist", "event.data.size > 1024", "event.data.key.startWith('a')"),
        Mistake("a function with too few values", "event.data.size > 1024", "event.data.key.contains()"),
        Mistake("a function of another kind of value", "event.data.size > 1024", "size(event.time) > 0"),
        Mistake("an invalid pattern", "event.data.size > 1024", "event.data.key.matches('a(')"),
        Mistake("an operator between two kinds", '"event.data.size > 1024"', "event.type + 1 == 'a'"),
        Mistake("a key that is a map", "event.data.bucket", "event.data"),
        Mistake("`key` without `for_each`", "submit: {workflow_template: basket-train", 'submit: {parameters: {p: "${key}"}, workflow_template: basket-train', "${key}"),
        Mistake("`upstream` without an `after` trigger", "${window.start}", "${upstream.id}"),
        Mistake("brackets deeper than 32 levels", '"event.data.size > 1024"', f"{'(' * 40}true{')' * 40}", "(((…)))"),
        Mistake("`${` without `}`", "${window.start}", "${window.start"),
        Mistake("`{{` in a parameter", "${window.start}", "{{workflow.name}}"),
    ],
    "Metrics, alerts, ages, chains": [
        Mistake("`clear` on the wrong side of `above`", "clear: 0.1, for", "clear: 0.3, for"),
        Mistake("`clear` on the wrong side of `below`", "clear: 0.1}", "clear: 0.01}"),
        Mistake("no threshold", "above: 0.2, ", "", "(no above:)"),
        Mistake("two thresholds", "above: 0.2, clear", "above: 0.2, below: 0.1, clear"),
        Mistake("`for` shorter than the polling interval", "for: 30m", "for: 10s"),
        Mistake("`max_sample_age` shorter than it", "for: 30m", "max_sample_age: 10s"),
        Mistake("`series` and `percent`", "{series: 3}", "{series: 3, percent: 50}"),
        Mistake("`of` without `percent`", "{series: 3}", "{series: 3, of: 40}"),
        Mistake("a metric without a query", "expr: psi, ", "", "(no expr:)"),
        Mistake("a query of a webhook", "match: {metric: ks}", "expr: ks"),
        Mistake("`value` of a query", "expr: psi", "expr: psi, value: event.data.x"),
        Mistake("a metric of alerts", "{source: push, match: {metric: ks}", "{source: alerts, match: {metric: ks}"),
        Mistake("an alert of a webhook", "source: alerts, match: {alertname: Drift}", "source: push, match: {alertname: Drift}"),
        Mistake("`max_age` of 0", "max_age: 14d", "max_age: 0s"),
        Mistake("`after` a rule that does not exist", "rule: sales", "rule: sale"),
        Mistake("`min_retry_interval` of 0", "max_age: 14d", "max_age: 14d, min_retry_interval: 0s"),
        Mistake("a cycle of `after` triggers", "rule: sales", "rule: basket"),
        Mistake("a chain of more than eight rules", "", _chain(9), "(nine rules)"),
    ],
    "`when` and `unless`": [
        Mistake("a trigger that does not exist", "any: [page, stale", "any: [page, page2, stale"),
        Mistake("a trigger that `when` does not name", "any: [page, ", "any: ["),
        Mistake("`any` and `all` in one group", "{all: [drift, p], within", "{all: [drift, p], any: [p], within"),
        Mistake("more triggers than the group has", "{all: [drift, p], within", "{at_least: {n: 3, of: [drift, p]}, within"),
        Mistake("in `when` and in `unless`", "any: [page, ", "any: [incident, page, "),
        Mistake("more than eight nested groups", "rebuilt, {all", f"rebuilt, {'{any: [' * 8}stale{']}' * 8}, {{all", "{any: [{any: [{any: […"),
        Mistake("a schedule, data or after trigger in `unless`", "stale, rebuilt, {all: [drift, p], within: 24h}]}\n    unless: [incident]", "stale, {all: [drift, p], within: 24h}]}\n    unless: [incident, rebuilt]", "unless: [incident, rebuilt]"),
    ],
    "Limits": [
        Mistake("a budget without a limit", "{gpu_hours: 400, per: 30d}", "{per: 30d}"),
        Mistake("a budget for 0 seconds", "per: 30d", "per: 0s"),
        Mistake("a reserve above the budget", "{gpu_hours: 400, per: 30d}", "{gpu_hours: 4, per: 30d, reserve: 6}"),
        Mistake("a reserve without `gpu_hours`", "{gpu_hours: 400, per: 30d}", "{runs: 4, per: 30d, reserve: 6}"),
        Mistake("`backoff` without a cooldown", "cooldown: {period: 6h}, ", "", "(no cooldown:)"),
        Mistake("`cost` over a name that does not exist", "gpu_hours: outputs.hours", "gpu_hours: output.hours"),
    ],
    "Runs": [
        Mistake("no template to run, or two", "workflow_template: churn-train", "namespace: ml"),
        Mistake("an inline manifest without a spec", "workflow_template: churn-train", "workflow: {kind: Workflow}"),
        Mistake("a manifest's namespace", "workflow_template: churn-train", "workflow: {metadata: {namespace: ml}, spec: {}}"),
        Mistake("labels of Argo or of retrainer", "labels: {team: a}", "labels: {workflows.argoproj.io/x: a}"),
        Mistake("a label that Kubernetes refuses", "labels: {team: a}", "labels: {team: a b}"),
    ],
    "Prometheus": [
        Mistake("`token` and `basic`", "polling_interval: 30s, token: {from_env: PATH}", "polling_interval: 30s, token: {from_env: PATH}, basic: {username: me, password: {from_env: PATH}}"),
        Mistake("a URL without a host", "http://prometheus:9090", "http://"),
        Mistake("a URL with a path of the API", "http://prometheus:9090", "http://prometheus:9090/api/v1/query"),
        Mistake("a password in `url`", '"http://prometheus:9090", polling_interval: 30s, token: {from_env: PATH}', '"http://me:pw@prometheus:9090", polling_interval: 30s', "http://me:pw@prometheus:9090"),
        Mistake("a password in `headers`", "polling_interval: 30s, token: {from_env: PATH}", "polling_interval: 30s, headers: {Authorization: Bearer x}"),
        Mistake("a reserved header", "polling_interval: 30s, token: {from_env: PATH}", "polling_interval: 30s, headers: {Content-Type: text/plain}"),
        Mistake("certificates that do not exist", "polling_interval: 30s, token: {from_env: PATH}", "polling_interval: 30s, tls: {ca_file: /etc/none.pem}"),
    ],
    "Kafka and S3": [
        Mistake("both of `topics` and `topic_pattern`, or neither", "topics: [orders], ", "", "(no topics:)"),
        Mistake("an invalid topic pattern", "topics: [orders]", "topic_pattern: 'orders-('"),
        Mistake("a server without a port", '["kafka:9092"]', "[kafka]"),
        Mistake("a time that does not exist", "group_id: retrainer", "group_id: retrainer, start: {timestamp: '2026-02-30T08:00:00Z'}"),
        Mistake("`avro` without a registry", "group_id: retrainer", "group_id: retrainer, format: avro"),
        Mistake("a registry without `avro`", "group_id: retrainer", "group_id: retrainer, schema_registry: {url: 'http://registry'}"),
        Mistake("SASL without what its mechanism needs", "group_id: retrainer", "group_id: retrainer, sasl: {mechanism: SCRAM-SHA-512, username: me}"),
        Mistake("MSK without TLS", "group_id: retrainer", "group_id: retrainer, sasl: {mechanism: AWS_MSK_IAM}"),
        Mistake("an S3 source without a channel, or with two", "{webhook: {path: /hooks/s3, token: {from_env: PATH}}}", "{}"),
        Mistake("`sweep` without `buckets`", "type: s3, ", "type: s3, sweep: 6h, "),
    ],
    "Files and settings": [
        Mistake("a file or folder that does not exist", "", _settings("rules: [nowhere]"), "rules: [nowhere]", "retrainer.yaml"),
        Mistake("a Kubernetes manifest among the rules", "", "apiVersion: v1\nkind: ConfigMap\n", "kind: ConfigMap"),
        Mistake("an unknown engine", "", "version: 1\nengine: {type: argos}\n", "engine: {type: argos}", "retrainer.yaml"),
        Mistake("the API open to all without a token", "", _settings("http: {host: 0.0.0.0}"), "http: {host: 0.0.0.0}", "retrainer.yaml"),
        Mistake("a read-only token alone", "", _settings("http: {read_token: {from_env: HOME}}"), "http: {read_token: {from_env: HOME}}", "retrainer.yaml"),
        Mistake("a token for no namespace", "", _settings("http: {tokens: [{name: fraud, token: {from_env: HOME}}]}"), "http: {tokens: [{name: fraud, token: {from_env: HOME}}]}", "retrainer.yaml"),
        Mistake("a namespace that is not in a list", "", _settings("http: {tokens: [{name: fraud, token: {from_env: HOME}, namespaces: ml}]}"), "namespaces: ml", "retrainer.yaml"),
        Mistake("a team that administers", "", _settings("http: {tokens: [{name: fraud, token: {from_env: HOME}, namespaces: [ml], verbs: [administer]}]}"), "namespaces: [ml], verbs: [administer]", "retrainer.yaml"),
    ],
    **OF_OTHER_TOOLS,
}  # fmt: skip


def said(mistake: Mistake) -> list[str]:
    """The messages about the valid file after the change."""
    return [str(problem) for problem in problems_of(written(mistake), mistake.file)]


def written(mistake: Mistake) -> str:
    """The valid file after the change."""
    return GOOD.replace(mistake.old, mistake.new) if mistake.old else mistake.new


def problems_of(text: str, file: str) -> list[Problem]:
    """The problems of a file that is alone in the working directory."""
    here = Path.cwd()
    with TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            if file == "retrainer.yaml" and "[nowhere]" not in text:
                Path("rules").mkdir()
            Path(file).write_bytes(text.encode(errors="surrogateescape"))
            return [replace(problem, file=shown(problem.file)) for problem in validate(file)[1]]
        finally:
            os.chdir(here)


def tables() -> str:
    """The tables of docs/reference/configuration-errors.md."""
    lines = ["| mistake | written | message |", "| --- | --- | --- |"]
    for title, mistakes in TABLES.items():
        lines.append(f"| **{title}** | | |")
        lines += [_row(mistake) for mistake in mistakes]
    return "\n".join(lines) + "\n"


def _row(mistake: Mistake) -> str:
    wrote = _cell(mistake.shown or mistake.new)
    return f"| {mistake.name} | {wrote} | {'<br>'.join(_cell(one) for one in said(mistake))} |"


def _cell(text: str) -> str:
    """Code for a table cell: a bar is escaped, because it would end the cell."""
    text = text.replace("|", "\\|")
    ticks = "``" if "`" in text else "`"
    pad = " " if "`" in text else ""
    return f"{ticks}{pad}{text}{pad}{ticks}"


if __name__ == "__main__":
    sys.stdout.write(tables())
