"""A real MinIO whose buckets send notifications to a Kafka topic or a webhook."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import boto3

SCRIPT = Path(__file__).parent / "servers" / "minio.sh"
EVENTS = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]
USER = PASSWORD = "minioadmin"


class Minio:
    """``webhook`` is the address that MinIO notifies, with `token`. ``topic`` is a topic of the broker."""

    def __init__(self, port: int, brokers: str = "", topic: str = "", webhook: str = "", token: str = "") -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._queue = Path(os.environ.get("MINIO_DIR", Path.home() / ".cache/retrainer-minio")) / f"run-{port}/webhook"
        self._environment = {
            "MINIO_PORT": str(port),
            "KAFKA_BROKERS": brokers,
            "KAFKA_TOPIC": topic,
            "WEBHOOK": webhook,
            "WEBHOOK_TOKEN": token,
        }

    def up(self) -> None:
        self.call("down")
        self.call("up")
        session = boto3.session.Session(USER, PASSWORD, region_name="us-east-1")
        self.s3: Any = session.client("s3", endpoint_url=self.url)

    def down(self) -> None:
        self.s3.close()
        self.call("down")

    def call(self, command: str) -> None:
        done = subprocess.run(
            [SCRIPT, command],
            env={**os.environ, **self._environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == 0, f"minio.sh {command}: {done.stdout}{done.stderr}"

    def bucket(self, name: str, *, target: str = "", versions: bool = False) -> str:
        """Create a bucket. With ``target``, `kafka` or `webhook`, it sends notifications there."""
        self.s3.create_bucket(Bucket=name)
        if versions:
            self.s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        if target:
            to = {"QueueArn": f"arn:minio:sqs::lake:{target}", "Events": EVENTS}
            self.s3.put_bucket_notification_configuration(
                Bucket=name, NotificationConfiguration={"QueueConfigurations": [to]}
            )
        return name

    def put(self, bucket: str, *keys: str, body: bytes = b"1") -> None:
        for key in keys:
            self.s3.put_object(Bucket=bucket, Key=key, Body=body)

    def undelivered(self) -> int:
        """The number of notifications that the webhook has not accepted yet. MinIO retries them."""
        return sum(path.is_file() for path in self._queue.rglob("*"))
