"""AWS resources of a test, with unique names on a shared server."""

from __future__ import annotations

import json
from typing import Any

import boto3

EVENTS = ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]


class Cloud:
    def __init__(self, url: str, name: str) -> None:
        self.url, self.name = url, name
        session = boto3.session.Session()
        self.s3: Any = session.client("s3", endpoint_url=url)
        self.sqs: Any = session.client("sqs", endpoint_url=url)
        self.sns: Any = session.client("sns", endpoint_url=url)
        self.bridge: Any = session.client("events", endpoint_url=url)

    def close(self) -> None:
        for client in (self.s3, self.sqs, self.sns, self.bridge):
            client.close()

    def bucket(self, suffix: str = "features") -> str:
        name = f"{self.name}-{suffix}"
        self.s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
        return name

    def queue(self, *, fifo: bool = False, visibility: int = 30) -> str:
        attributes = {"VisibilityTimeout": str(visibility)} | ({"FifoQueue": "true"} if fifo else {})
        return self.sqs.create_queue(QueueName=self.name + (".fifo" if fifo else ""), Attributes=attributes)["QueueUrl"]

    def arn(self, queue: str) -> str:
        return self.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    def topic(self, queue: str, *, raw: bool = False) -> str:
        topic = self.sns.create_topic(Name=self.name)["TopicArn"]
        attributes = {"RawMessageDelivery": "true"} if raw else {}
        self.sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=self.arn(queue), Attributes=attributes)
        return topic

    def notify(self, bucket: str, *, queue: str = "", topic: str = "", bridge: bool = False) -> None:
        """Let the bucket send notifications of created and removed objects."""
        configuration: dict[str, Any] = {}
        if queue:
            configuration["QueueConfigurations"] = [{"QueueArn": self.arn(queue), "Events": EVENTS}]
        if topic:
            configuration["TopicConfigurations"] = [{"TopicArn": topic, "Events": EVENTS}]
        if bridge:
            configuration["EventBridgeConfiguration"] = {}
        self.s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration)

    def bridge_to(self, queue: str) -> None:
        pattern = {"source": ["aws.s3"], "detail-type": ["Object Created", "Object Deleted"]}
        self.bridge.put_rule(Name=self.name, EventPattern=json.dumps(pattern))
        self.bridge.put_targets(Rule=self.name, Targets=[{"Id": "1", "Arn": self.arn(queue)}])

    def put(self, bucket: str, *keys: str, body: bytes = b"1") -> None:
        for key in keys:
            self.s3.put_object(Bucket=bucket, Key=key, Body=body + key.encode())

    def send(self, queue: str, *bodies: str, group: str = "") -> None:
        """Put messages into a queue, like a notifying service."""
        for n, body in enumerate(bodies):
            order = {"MessageGroupId": group, "MessageDeduplicationId": f"{group}-{n}"} if group else {}
            self.sqs.send_message(QueueUrl=queue, MessageBody=body, **order)

    def in_hand(self, queue: str) -> int:
        """The number of messages that were received and not deleted yet."""
        name = "ApproximateNumberOfMessagesNotVisible"
        return int(self.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=[name])["Attributes"][name])

    def left(self, queue: str) -> int:
        """The number of messages that wait or are in flight."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)
