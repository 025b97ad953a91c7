"""Clients for AWS and compatible servers, and messages for their errors."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

from retrainer.telemetry.secrets import SECRETS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

LONG_POLL = 20
"""Seconds that a receive request waits for messages: the maximum of SQS."""
_CONFIG = Config(
    connect_timeout=5,
    read_timeout=LONG_POLL + 10,
    retries={"total_max_attempts": 1},  # sources retry by themselves, and report it
    max_pool_connections=4,
)
_MEANINGS = {
    "does not exist": {"QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue", "NoSuchBucket"},
    "access denied": {
        "AccessDenied",
        "AccessDeniedException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "SignatureDoesNotMatch",
    },
    "the credentials have expired": {"ExpiredToken", "ExpiredTokenException", "RequestExpired"},
    "asked to slow down": {
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    },
}


class Unavailable(Exception):
    """AWS, or a compatible server, refused or failed. The message says why, without secrets."""


def sqs_client(region: str | None, endpoint_url: str | None) -> SQSClient:
    """Return a client with credentials from the usual chain. Raise Unavailable if it cannot be created."""
    with in_words("the queue"):
        return _session().client("sqs", region_name=region, endpoint_url=endpoint_url, config=_CONFIG)


def s3_client(region: str | None, endpoint_url: str | None, attempts: int = 1) -> S3Client:
    """Return a client with credentials from the usual chain. Raise Unavailable if it cannot be created.

    ``attempts``: how often it sends a request that fails.
    """
    config = _CONFIG.merge(Config(retries={"total_max_attempts": attempts}))
    with in_words("the buckets"):
        return _session().client("s3", region_name=region, endpoint_url=endpoint_url, config=config)


def _session() -> boto3.session.Session:
    """Raise NoCredentialsError if there are none yet: a client that is created without them never finds any."""
    session = boto3.session.Session()
    credentials = session.get_credentials()
    if credentials is None:
        raise NoCredentialsError
    for secret in (credentials.secret_key, credentials.token):
        SECRETS.hide_passing(secret or "")
    return session


@contextlib.contextmanager
def in_words(what: str) -> Iterator[None]:
    """Turn the client library's errors into Unavailable. ``what`` names the server."""
    try:
        yield
    except ClientError as error:
        raise Unavailable(f"{what}: {_refusal(error)}") from error
    except NoCredentialsError as error:
        raise Unavailable(
            f"{what}: no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the pod a role"
        ) from error
    except NoRegionError as error:
        raise Unavailable(f"{what}: no region; set `region`, or AWS_REGION") from error
    except (BotoCoreError, ValueError) as error:  # ValueError: an invalid endpoint_url
        raise Unavailable(f"{what}: {SECRETS.mask(str(error))}") from error


def _refusal(error: ClientError) -> str:
    details = error.response.get("Error", {})
    code = str(details.get("Code", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    otherwise = "access denied" if status in (401, 403) else "refused"
    meaning = next((words for words, codes in _MEANINGS.items() if code in codes), otherwise)
    # For a wrong signature AWS returns the whole request, with the session token, after the first line.
    message = SECRETS.mask(str(details.get("Message", "")) or str(error)).partition("\n")[0]
    return f"{meaning} ({code}: {message:.300})"
