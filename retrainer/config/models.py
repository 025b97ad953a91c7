"""The rule language, ``version: 1``: frozen models, each field documented beneath itself.

Durations and sizes are written ``90s 15m 6h 7d`` and ``500MiB 50GB``; the models hold seconds and bytes.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

_UNITS_OF_TIME = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_UNITS_OF_SIZE = {
    "B": 1,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
DURATION_PATTERN = r"^(\d+(ms|s|m|h|d|w))+$"
SIZE_PATTERN = r"^\d+(\.\d+)?(B|KB|MB|GB|TB|KiB|MiB|GiB|TiB)$"


def parse_duration(value: object) -> float:
    """Read ``1h30m`` as seconds; raise ValueError with the way out on anything else."""
    if not isinstance(value, str) or not re.match(DURATION_PATTERN, value):
        raise ValueError(f"not a duration: write a number with its unit, such as 90s, 15m, 6h or 7d, not {value!r}")
    return sum(int(number) * _UNITS_OF_TIME[unit] for number, unit in re.findall(r"(\d+)(ms|s|m|h|d|w)", value))


def parse_size(value: object) -> int:
    """Read ``500MiB`` as bytes; raise ValueError with the way out on anything else."""
    if not isinstance(value, str) or not re.match(SIZE_PATTERN, value):
        raise ValueError(f"not a size: write a number with its unit, such as 500MiB or 50GB, not {value!r}")
    number, unit = re.match(r"([\d.]+)(\w+)", value).groups()  # type: ignore[union-attr]
    return int(float(number) * _UNITS_OF_SIZE[unit])


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN, "examples": ["90s", "6h", "7d"]}),
]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema({"type": "string", "pattern": SIZE_PATTERN, "examples": ["500MiB"]}),
]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$", max_length=63)]
Cel = Annotated[str, Field(min_length=1, max_length=2048)]
Phase = Literal["FAILED", "ERROR", "CANCELLED", "UNKNOWN"]


class Model(BaseModel):
    """Frozen, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class FromEnv(Model):
    from_env: str
    """Name of the environment variable that holds the secret."""


class FromFile(Model):
    from_file: str
    """Path of the file that holds the secret; surrounding white space is dropped. Read again when it changes."""


Secret = FromEnv | FromFile


class SourceModel(Model):
    expect_every: Duration | None = None
    """Something must arrive at least this often; else `retrainer_source_silent` is 1 and the log says so."""


class Listener(Model):
    path: Annotated[str, Field(pattern=r"^/hooks/[A-Za-z0-9._~/-]+$")]
    """Path that the daemon listens on, under `/hooks/`."""
    hmac: Secret | list[Secret] | None = None
    """Secret of the HMAC-SHA256 over `timestamp.body` (`X-Retrainer-Signature: t=…,v1=hex`, or `X-Hub-Signature-256`
    over the body). Two may live at once."""
    token: Secret | list[Secret] | None = None
    """Secret expected as `Authorization: Bearer …`. Two may live at once."""
    timestamp_tolerance: Duration = 300.0
    """How far a signature's timestamp may be from now."""
    max_body: Size = 1048576
    """Largest body taken, before and after decompression."""
    body_timeout: Duration = 10.0
    """How long a sender may take for its body."""


class WebhookSource(SourceModel, Listener):
    type: Literal["webhook"]
    """Events that arrive by HTTP POST."""
    format: Literal["json", "cloudevents", "s3"] = "json"
    """`cloudevents` takes the binary, structured and batch modes; `s3` takes bucket notifications; `json` takes any
    JSON object."""
    id: Cel | None = None
    """`json` only: CEL over `data` and `headers` that names the event (else the Idempotency-Key header, else each
    request is new)."""
    time: Cel | None = None
    """`json` only: CEL over `data` that gives the event's time (RFC 3339, or seconds since the epoch)."""
    identity_window: Duration = 604800.0
    """How long an id is remembered to recognise a second delivery."""


class DirectorySource(SourceModel):
    type: Literal["directory"]
    """Files that land in a folder, reported as S3-shaped events: the folder is the bucket, the
    relative path the key."""
    path: str
    """The folder, seen from the configuration file's own folder if relative."""
    bucket: str | None = None
    """Bucket name in the events; the folder's own name if not given."""
    settle: Duration = 2.0
    """A file is reported once its size and modification time have not changed for this long."""
    polling_interval: Duration = 1.0
    """How often the folder is listed."""
    rows: Literal["lines"] | None = None
    """`lines` counts the lines of `.csv` (less the header) and `.jsonl` files as `event.data.rows`."""
    ignore: list[str] = ["**/.*", "**/*.tmp", "**/_temporary/**"]
    """Globs of paths that are not reported."""


class Tls(Model):
    ca_file: str | None = None
    """PEM file of the authorities to trust; the system's own if not given."""
    cert_file: str | None = None
    """PEM file of our certificate, where the server asks for one."""
    key_file: str | None = None
    """PEM file of its key."""
    key_password: Secret | None = None
    """What the key is encrypted with."""
    check_hostname: bool = True
    """Whether the server's certificate must carry the name it was reached by."""


class OAuth(Model):
    token_endpoint: Annotated[str, Field(pattern=r"^https?://")]
    """Where tokens are asked for, with the client credentials grant of RFC 6749."""
    client_id: str
    """Who asks."""
    client_secret: Secret
    """And proves it with this."""
    scope: str | None = None
    """Scopes to ask for, with blanks between."""


class Sasl(Model):
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "AWS_MSK_IAM"]
    """`AWS_MSK_IAM` takes its credentials from the usual AWS chain."""
    username: str | None = None
    """For PLAIN and SCRAM."""
    password: Secret | None = None
    """For PLAIN and SCRAM."""
    oauth: OAuth | None = None
    """For OAUTHBEARER."""


class StartAt(Model):
    timestamp: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:\d\d)$")]
    """RFC 3339; records from then on are read."""


class Topics(Model):
    bootstrap_servers: Annotated[list[str], Field(min_length=1)]
    """`host:port` of some brokers."""
    topics: list[str] = []
    """Topics to read. Either these or `topic_pattern`."""
    topic_pattern: str | None = None
    """Regular expression; topics whose whole name matches it are read, also those that are made later."""
    group_id: str
    """Consumer group. How far it read stands in the store; what is committed to the broker is for lag displays."""
    start: Literal["earliest", "latest"] | StartAt = "earliest"
    """Where a topic that was never read begins. Partitions that are added to it later are read from their beginning."""
    tls: Tls | None = None
    """Talk TLS."""
    sasl: Sasl | None = None
    """Prove who we are."""
    max_record: Size = 1048576
    """Larger records go to the dead letters."""
    tombstones: Literal["dead_letter", "ignore"] = "dead_letter"
    """What becomes of records without a value."""


class SchemaRegistry(Model):
    url: Annotated[str, Field(pattern=r"^https?://")]
    """Where schemas are asked for by their id (the Confluent REST API, which Karapace and Apicurio speak too)."""
    username: str | None = None
    """For basic authentication."""
    password: Secret | None = None
    """For basic authentication."""
    token: Secret | None = None
    """For `Authorization: Bearer …`."""
    tls: Tls | None = None
    """Certificates."""


class KafkaSource(SourceModel, Topics):
    type: Literal["kafka"]
    """Records of Kafka topics."""
    format: Literal["json", "cloudevents", "s3", "avro"] = "json"
    """`cloudevents` takes the binary and structured modes; `s3` takes bucket notifications; `avro` takes records in the
    Confluent wire format."""
    schema_registry: SchemaRegistry | None = None
    """For `format: avro`."""
    id: Cel | None = None
    """`json` and `avro`: CEL over `data` and `headers` that names the event, so that what a producer sends twice counts
    once; without it a record is known by its place."""
    time: Cel | None = None
    """`json` and `avro`: CEL over `data` that gives the event's time; the record's timestamp without it."""
    identity_window: Duration = 604800.0
    """How long an id that the record itself brings is remembered to recognise a second one."""


class Queue(Model):
    queue_url: Annotated[str, Field(pattern=r"^https?://")]
    """The SQS queue that the bucket, an SNS topic or an EventBridge rule sends to; names ending in `.fifo` are FIFO."""
    region: str | None = None
    """Region of the queue; by the usual AWS chain if not given."""
    endpoint_url: str | None = None
    """Another server than AWS's own."""
    visibility_timeout: Annotated[Duration, Field(ge=2, le=43200)] = 60.0
    """A received message comes back after this long unless it was stored; kept up while we work on it."""
    topic_arns: list[str] = []
    """SNS topics whose envelopes are taken; any, if none is named."""


class Via(Model):
    """Exactly one of these."""

    sqs: Queue | None = None
    """Notifications in a queue: straight from S3, or wrapped by SNS or EventBridge."""
    kafka: Topics | None = None
    """Notifications in Kafka topics (MinIO, Ceph)."""
    webhook: Listener | None = None
    """Notifications by HTTP (MinIO, Ceph)."""


class Bucket(Model):
    name: str
    """The bucket."""
    prefix: str = ""
    """Only keys that begin so."""


class S3Source(SourceModel):
    type: Literal["s3"]
    """Objects that are created in, or removed from, buckets of S3 or anything that speaks it."""
    via: Via
    """The road on which notifications come."""
    key_encoding: Literal["auto", "form", "raw"] = "auto"
    """How keys are written in notifications: `form` (a blank is `+`, as AWS and MinIO do), `raw` (as Ceph does);
    `auto` goes by who sent it."""
    sweep: Duration | None = None
    """List the buckets this often, to find objects whose notification never came."""
    sweep_settle: Duration = 900.0
    """Objects younger than this are left to their notification."""
    buckets: list[Bucket] = []
    """What to list for `sweep` and for `retrainer replay`."""
    endpoint_url: str | None = None
    """Where the buckets are, if not at AWS."""
    region: str | None = None
    """Region of the buckets; by the usual AWS chain if not given."""
    identity_window: Duration = 604800.0
    """How long a notification is remembered to recognise a second one."""


Source = Annotated[WebhookSource | DirectorySource | KafkaSource | S3Source, Field(discriminator="type")]


class Calendar(Model):
    dates: list[str] = []
    """Days, `2026-12-24` or `2026-12-24/2027-01-02`, both ends included."""
    weekdays: list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]] = []
    """Days of the week. Of dates, weekdays and times, a moment must be in each that is given."""
    times: list[Annotated[str, Field(pattern=r"^([01]\d|2[0-4]):[0-5]\d-([01]\d|2[0-4]):[0-5]\d$")]] = []
    """Times of the day, `08:00-18:00`; the end is not included, and may be past midnight."""
    timezone: str = "UTC"
    """IANA name of the zone the calendar is read in."""


class Dst(Model):
    missing: Literal["shift", "skip"] = "shift"
    """A local time that does not exist that day runs at the first one that does, or not at all."""
    repeated: Literal["first", "both"] = "first"
    """A local time that comes twice that day runs once or twice."""


class Schedule(Model):
    cron: str
    """Five fields as in crontab(5) (both day fields set means OR; 0 and 7 are Sunday), or @hourly @daily @weekly
    @monthly @yearly."""
    timezone: str = "UTC"
    """IANA name of the zone the expression is read in."""
    dst: Dst = Dst()
    """What happens when clocks change; not to `*/30 * * * *` and its like (docs/schedules.md)."""
    recover_missed: Literal["last", "none", "all"] = "last"
    """Which of the slots that passed while nobody could look are run."""
    catchup_window: Duration = 43200.0
    """How far back `recover_missed` looks."""
    jitter: Duration = 0.0
    """Spreads the start over this long; a hash of rule and slot, so it is the same on each
    replica and after a restart."""
    except_: Annotated[list[str], Field(alias="except")] = []
    """Calendars during which a slot is skipped."""


class AtLeast(Model):
    events: Annotated[int, Field(ge=1)] | None = None
    """So many events."""
    bytes: Size | None = None
    """So many bytes (`event.data.size`)."""
    rows: Annotated[int, Field(ge=1)] | None = None
    """So many rows (see `rows`)."""


class Batch(Model):
    at_least: AtLeast | None = None
    """The batch is complete with the first of these reached; one event, if neither this nor the other two are given."""
    or_after: Duration | None = None
    """Complete this long after the first pending event, however little came."""
    quiet_for: Duration | None = None
    """Debounce: complete only once nothing came for this long; `or_after` caps it."""


class Data(Model):
    source: str
    """Name of a source."""
    match: dict[str, str | int | float | bool] = {}
    """Fields of `event.data` (or `event.type`, `event.subject` …) that must be equal, or match a glob (`*` within a
    path part, `**` over them)."""
    where: Cel | None = None
    """CEL over `event`, true or false; runs on what `match` let through."""
    rows: Cel | None = None
    """CEL over `event`: how many rows the event brings."""
    distinct_by: Cel | None = None
    """CEL over `event`: what makes two events the same thing, such as `event.data.key`. The thing counts once in a
    window, with the size and rows it came with last."""
    batch: Batch = Batch()
    """When enough has come."""


class Trigger(Model):
    """Exactly one of these."""

    schedule: Schedule | None = None
    """Satisfied when a slot of a cron expression is due."""
    data: Data | None = None
    """Satisfied when a batch of data is complete."""


class ForEach(Model):
    by: dict[str, Cel]
    """For each data trigger, CEL over `event` that gives the key."""
    max_keys: Annotated[int, Field(ge=1, le=1_000_000)] = 10000
    """Events of further keys go to the dead letters."""
    forget_after: Duration = 7776000.0
    """A key without events or runs for this long is forgotten."""


class Cooldown(Model):
    period: Duration
    """How long the rule rests."""
    from_: Annotated[Literal["fired", "completed", "succeeded"], Field(alias="from")] = "completed"
    """What the rest is counted from."""


class Limits(Model):
    overlap: Literal["skip", "buffer_one", "allow_all", "cancel_other", "terminate_other"] = "buffer_one"
    """What to do when a run of the same key is still on its way."""
    max_active: Annotated[int, Field(ge=1, le=10000)] = 1000
    """With `allow_all`: so many runs of a key at once; further input waits and joins the next."""
    cooldown: Cooldown | None = None
    """Rest between runs."""
    pool: str | None = None
    """Pool whose slots the rule's runs wait for."""
    priority: int = 0
    """Higher goes first in a pool."""
    pause_after_failures: Annotated[int, Field(ge=1)] | None = None
    """Circuit breaker: so many failed chains in a row hold the key until someone resumes the rule."""
    deadline: Duration | None = None
    """A due rule that no run could start for within this long is given up (its data stays)."""


class Backoff(Model):
    duration: Duration = 60.0
    """Wait before the first retry."""
    factor: Annotated[float, Field(ge=1)] = 2.0
    """Each further wait is so much longer."""
    max_duration: Duration = 3600.0
    """And never longer than this."""


class Retry(Model):
    limit: Annotated[int, Field(ge=0, le=100)]
    """So many retries after the first attempt."""
    phases: list[Phase] = ["FAILED", "ERROR"]
    """Ends that are retried."""
    backoff: Backoff = Backoff()
    """How long to wait."""


class Output(Model):
    parameter: str
    """Name of the workflow's output parameter."""
    type: Literal["number", "boolean", "string"] = "number"
    """Numbers and booleans are exported as gauges."""
    help: str = ""
    """What it means; shown beside the gauge."""


class Metadata(Model):
    labels: dict[str, str] = {}
    """Labels of the Workflow. None under workflows.argoproj.io or retrainer.dev."""
    annotations: dict[str, str] = {}
    """Annotations of the Workflow."""


class Submit(Model):
    workflow_template: str | None = None
    """Name of the WorkflowTemplate to run. Exactly one of this, `cluster_workflow_template` and `workflow`."""
    cluster_workflow_template: str | None = None
    """Name of the ClusterWorkflowTemplate to run."""
    workflow: dict[str, Any] | None = None
    """A whole Workflow manifest, inline (its `spec`)."""
    namespace: str | None = None
    """Namespace of the Workflow; the daemon's own `namespace` setting if not given."""
    parameters: dict[str, str | int | float | bool] = {}
    """Arguments. Strings may hold `${CEL}` over rule, key, trigger, window, events, run and previous."""
    metadata: Metadata = Metadata()
    """Labels and annotations of the Workflow."""
    timeout: Duration | None = None
    """activeDeadlineSeconds of the Workflow."""
    retry: Retry | None = None
    """Runs again what failed, with the same inputs and parameters."""
    consume: Literal["succeeded", "fired"] = "succeeded"
    """`succeeded` gives the inputs of any other end back to the next window; `fired` never does."""
    outputs: dict[Identifier, Output] = {}
    """Output parameters kept with the run and exported as gauges."""


class Rule(Model):
    name: Name
    """Unique name; part of each run's name (cut to 36 characters)."""
    description: str = ""
    """What the rule is for."""
    labels: dict[str, str] = {}
    """On `retrainer_rule_info`, in alerts and on Workflows."""
    mode: Literal["active", "shadow", "paused"] = "active"
    """`shadow` decides and records but submits nothing; `paused` holds."""
    triggers: Annotated[dict[Identifier, Trigger], Field(min_length=1)]
    """Named conditions; any of them makes the rule due."""
    for_each: ForEach | None = None
    """Splits the rule by a key, each with a state of its own."""
    limits: Limits = Limits()
    """What holds a due rule back."""
    submit: Submit
    """The run to start."""


class Rules(Model):
    """One file, or all of them together, after `defaults` and `templates` were worked in."""

    version: Literal[1]
    """Version of the format."""
    sources: dict[Name, Source] = {}
    """Where events come from."""
    calendars: dict[Identifier, Calendar] = {}
    """Named stretches of time."""
    pools: dict[Identifier, Annotated[int, Field(ge=0)]] = {}
    """Slots over all rules."""
    rules: list[Rule] = []
    """The rules."""
