"""Where events come from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from retrainer.config.models.base import Between, Cel, Duration, Interval, Message, Model, Secret, Timeout


class SourceModel(Model):
    expect_every: Duration | None = None
    """Something must arrive at least this often; else `retrainer_source_silent` is 1 and the log says so."""


class Listener(Model):
    path: Annotated[str, Field(pattern=r"^/hooks/[A-Za-z0-9._~/-]+$")]
    """Path that the daemon listens on, under `/hooks/`."""
    hmac: Secret | Annotated[list[Secret], Field(min_length=1)] | None = None
    """Secret of the HMAC-SHA256 in `X-Retrainer-Signature: t=…,v2=hex` or `X-Hub-Signature-256`
    (docs/how-to/sources/signing.md). Two may live at once."""
    signatures: Annotated[list[Literal["v2", "v1", "hub"]], Field(min_length=1)] = ["v2", "v1", "hub"]
    """Which are accepted: `v2` covers path, time, body and headers; `v1` time and body; `hub` (`X-Hub-Signature-256`)
    the body alone."""
    token: Secret | Annotated[list[Secret], Field(min_length=1)] | None = None
    """Secret expected as `Authorization: Bearer …`. Two may live at once."""
    timestamp_tolerance: Annotated[Duration, Between("", "1d")] = 300.0
    """How far a signature's timestamp may be from now."""
    max_body: Message = 1048576
    """Largest body taken, before and after decompression."""
    body_timeout: Timeout = 10.0
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
    polling_interval: Interval = 1.0
    """How often the folder is listed."""
    rows: Literal["lines"] | None = None
    """`lines` counts the lines of `.csv` (less the header) and `.jsonl` files as `event.data.rows`."""
    ignore: list[str] = ["**/.*", "**/*.tmp", "**/_temporary/**"]
    """Globs of paths that are not reported."""
    links: Literal["inside", "anywhere"] = "inside"
    """Which links to files are followed: those that stay in the folder, or all. Links to folders never are."""


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
    max_record: Message = 1048576
    """Records with a larger value, or with larger key and headers together, go to the dead letters."""
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
    visibility_timeout: Annotated[Duration, Between("2s", "12h")] = 60.0
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
    sweep: Interval | None = None
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


class BasicAuth(Model):
    username: str
    """Who asks."""
    password: Secret
    """And proves it with this."""


class PrometheusSource(SourceModel):
    type: Literal["prometheus"]
    """Instant queries to Prometheus, or anything that speaks its API."""
    url: Annotated[str, Field(pattern=r"^https?://")]
    """Where it is; what stands before `/api/v1/query`."""
    polling_interval: Annotated[Duration, Between("1s", "366d")] = 30.0
    """How often each expression is asked for."""
    timeout: Timeout = 10.0
    """How long an answer may take."""
    token: Secret | None = None
    """For `Authorization: Bearer …`."""
    basic: BasicAuth | None = None
    """For basic authentication."""
    tls: Tls | None = None
    """Certificates."""
    headers: dict[str, str] = {}
    """Further headers, such as `X-Scope-OrgID`. No secrets: they are shown."""
    max_series: Annotated[int, Field(ge=1, le=100_000)] = 10_000
    """More series than this in one answer are an error, not a decision."""


class AlertmanagerSource(SourceModel, Listener):
    type: Literal["alertmanager"]
    """Alerts that Alertmanager sends to a webhook receiver (version 4), each alert of a group an event of its own."""
    identity_window: Duration = 2592000.0
    """How long an alert is remembered to recognise a repeated notification."""


Source = Annotated[
    WebhookSource | DirectorySource | KafkaSource | S3Source | PrometheusSource | AlertmanagerSource,
    Field(discriminator="type"),
]
