"""Where events come from."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from retrainer.config.models.base import (
    Between,
    Cel,
    Duration,
    Interval,
    Message,
    Model,
    Secret,
    Timeout,
    longer_than_nothing,
)


class SourceModel(Model):
    max_silence: Duration | None = None
    """Something must arrive at least this often; else `retrainer_source_silent` is 1 and the log says so."""


class Listener(Model):
    path: Annotated[str, Field(pattern=r"^/hooks/[A-Za-z0-9._~/-]+$")]
    """Path that the daemon listens on, under `/hooks/`."""
    hmac: Secret | Annotated[list[Secret], Field(min_length=1)] | None = None
    """Secret of the HMAC-SHA256 in `X-Retrainer-Signature: t=…,v2=hex` or `X-Hub-Signature-256`
    (docs/how-to/sources/signing.md). Two may be valid at once."""
    signatures: Annotated[list[Literal["v2", "v1", "hub"]], Field(min_length=1)] = ["v2", "v1", "hub"]
    """Accepted schemes: `v2` covers path, time, body and headers; `v1` time and body; `hub` (`X-Hub-Signature-256`) the
    body only."""
    token: Secret | Annotated[list[Secret], Field(min_length=1)] | None = None
    """Secret expected as `Authorization: Bearer …`. Two may be valid at once."""
    timestamp_tolerance: Annotated[Duration, Between("", "1d")] = 300.0
    """How much the timestamp of a signature may differ from now."""
    max_body: Message = 1048576
    """Largest accepted body, before and after decompression."""
    body_timeout: Timeout = 10.0
    """How long a sender may take for its body."""


class WebhookSource(SourceModel, Listener):
    type: Literal["webhook"]
    """Events that arrive by HTTP POST."""
    format: Literal["json", "cloudevents", "s3"] = "json"
    """`cloudevents` takes the binary, structured and batch modes; `s3` takes bucket notifications; `json` takes any
    JSON object."""
    id: Cel | None = None
    """`json` only: CEL over `data` and `headers` that gives the identity of the event. Without it, the header
    Idempotency-Key; without that, each request is a new event."""
    time: Cel | None = None
    """`json` only: CEL over `data` that gives the time of the event (RFC 3339, or seconds since the epoch)."""
    identity_window: Duration = 604800.0
    """How long an id is remembered to recognise a second delivery."""


class DirectorySource(SourceModel):
    type: Literal["directory"]
    """Files that land in a folder, reported as S3-shaped events: the folder is the bucket, the
    relative path the key."""
    path: str
    """The folder, relative to the folder of the configuration file."""
    bucket: str | None = None
    """Name of the bucket in the events. Default: the name of the folder."""
    settle: Duration = 2.0
    """A file is reported once its size and modification time have not changed for this long."""
    polling_interval: Annotated[Interval, longer_than_nothing("write 1s or more")] = 1.0
    """How often the folder is listed."""
    rows: Literal["lines"] | None = None
    """`lines` counts the lines of `.csv` files (without the header) and `.jsonl` files as `event.data.rows`."""
    ignore: list[str] = ["**/.*", "**/*.tmp", "**/_temporary/**"]
    """Globs of paths that are not reported."""
    links: Literal["inside", "anywhere"] = "inside"
    """Which links to files are followed: those that stay in the folder, or all. Links to folders are never followed."""


class Tls(Model):
    ca_file: str | None = None
    """PEM file of the trusted authorities. Default: those of the system."""
    cert_file: str | None = None
    """PEM file of the client certificate, if the server needs one."""
    key_file: str | None = None
    """PEM file of the key of the client certificate."""
    key_password: Secret | None = None
    """Password of the key."""
    check_hostname: bool = True
    """Whether the certificate of the server must contain the name in its address."""


class OAuth(Model):
    token_endpoint: Annotated[str, Field(pattern=r"^https?://")]
    """Address that issues tokens, by the client credentials grant of RFC 6749."""
    client_id: str
    """Name of the client or user."""
    client_secret: Secret
    """Its secret."""
    scope: str | None = None
    """Requested scopes, separated by blanks."""


class Sasl(Model):
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER", "AWS_MSK_IAM"]
    """Mechanism. `AWS_MSK_IAM` uses credentials of the usual AWS chain."""
    username: str | None = None
    """For PLAIN and SCRAM."""
    password: Secret | None = None
    """For PLAIN and SCRAM."""
    oauth: OAuth | None = None
    """For OAUTHBEARER."""


class StartAt(Model):
    timestamp: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d+)?)?([Zz]|[+-]\d\d:\d\d)$")]
    """RFC 3339. Records of that time and later are read."""


class Topics(Model):
    bootstrap_servers: Annotated[list[str], Field(min_length=1)]
    """`host:port` of some brokers."""
    topics: list[str] = []
    """Topics to read. Either these or `topic_pattern`."""
    topic_pattern: str | None = None
    """Regular expression. Topics whose whole name matches it are read, also topics that are created later."""
    group_id: str
    """Consumer group. Positions are kept in the store; they are committed to the broker only to display the lag."""
    start: Literal["earliest", "latest"] | StartAt = "earliest"
    """Where to begin in a topic that was never read. Partitions that are added later are read from their beginning."""
    tls: Tls | None = None
    """Use TLS."""
    sasl: Sasl | None = None
    """Authentication."""
    max_record: Message = 1048576
    """Records with a larger value, or with larger key and headers together, become dead letters."""
    tombstones: Literal["dead_letter", "ignore"] = "dead_letter"
    """How records without a value are handled."""


class SchemaRegistry(Model):
    url: Annotated[str, Field(pattern=r"^https?://")]
    """Address of the registry (with the REST API of Confluent, which Karapace and Apicurio have too)."""
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
    """`cloudevents` accepts the binary and structured modes, `s3` bucket notifications, `avro` records in the Confluent
    wire format."""
    schema_registry: SchemaRegistry | None = None
    """For `format: avro`."""
    id: Cel | None = None
    """`json` and `avro`: CEL over `data` and `headers` that gives the identity of the event, so that a record that is
    sent twice counts once. Without it, the identity is topic, partition and offset."""
    time: Cel | None = None
    """`json` and `avro`: CEL over `data` that gives the time of the event. Default: the timestamp of the record."""
    identity_window: Duration = 604800.0
    """How long the identity of a record is remembered to recognise a second one."""


class Queue(Model):
    queue_url: Annotated[str, Field(pattern=r"^https?://")]
    """The SQS queue that the bucket, an SNS topic or an EventBridge rule sends to; names ending in `.fifo` are FIFO."""
    region: str | None = None
    """Region of the queue. Default: that of the usual AWS chain."""
    endpoint_url: str | None = None
    """Address of a server other than AWS."""
    visibility_timeout: Annotated[Duration, Between("2s", "12h")] = 60.0
    """A received message becomes visible again after this time, unless it was stored. The time is extended while the
    message is processed."""
    topic_arns: list[str] = []
    """SNS topics whose envelopes are accepted. Default: all."""


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
    """Only keys with this prefix."""


class S3Source(SourceModel):
    type: Literal["s3"]
    """Objects that are created in, or removed from, buckets of S3 or anything that speaks it."""
    via: Via
    """The channel of the notifications."""
    key_encoding: Literal["auto", "form", "raw"] = "auto"
    """How keys are encoded in notifications: `form` (a blank is `+`, as with AWS and MinIO) or `raw` (as with Ceph).
    `auto` recognises the sender."""
    sweep: Annotated[Interval, longer_than_nothing("write 1h, or at least 1s")] | None = None
    """How often to list the buckets, to find objects without a notification."""
    sweep_settle: Duration = 900.0
    """Objects younger than this are not reported by a listing: their notification may still arrive."""
    buckets: list[Bucket] = []
    """Buckets to list for `sweep` and for `retrainer replay`."""
    endpoint_url: str | None = None
    """Address of the server of the buckets, if it is not AWS."""
    region: str | None = None
    """Region of the buckets. Default: that of the usual AWS chain."""
    identity_window: Duration = 604800.0
    """How long a notification is remembered to recognise a second one."""


class BasicAuth(Model):
    username: str
    """Name of the client or user."""
    password: Secret
    """Its secret."""


class PrometheusSource(SourceModel):
    type: Literal["prometheus"]
    """Instant queries to Prometheus, or anything that speaks its API."""
    url: Annotated[str, Field(pattern=r"^https?://")]
    """Address of the server: the part before `/api/v1/query`."""
    polling_interval: Annotated[Duration, Between("1s", "366d")] = 30.0
    """How often each expression is queried."""
    timeout: Timeout = 10.0
    """How long an answer may take."""
    token: Secret | None = None
    """For `Authorization: Bearer …`."""
    basic: BasicAuth | None = None
    """For basic authentication."""
    tls: Tls | None = None
    """Certificates."""
    headers: dict[str, str] = {}
    """Additional headers, such as `X-Scope-OrgID`. The API shows them, so they must not contain secrets."""
    max_series: Annotated[int, Field(ge=1, le=100_000)] = 10_000
    """Maximum number of series in one answer. A larger answer is an error, not a decision."""


class AlertmanagerSource(SourceModel, Listener):
    type: Literal["alertmanager"]
    """Alerts that Alertmanager sends to a webhook receiver (version 4), each alert of a group an event of its own."""
    identity_window: Duration = 2592000.0
    """How long an alert is remembered to recognise a repeated notification."""


Source = Annotated[
    WebhookSource | DirectorySource | KafkaSource | S3Source | PrometheusSource | AlertmanagerSource,
    Field(discriminator="type"),
]
