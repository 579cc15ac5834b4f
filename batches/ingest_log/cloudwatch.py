"""Reads the ingest log page by page from CloudWatch Logs (boto3 finds endpoint, region and credentials itself)."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from core.processes import monotonic

CONNECT_TIMEOUT, READ_TIMEOUT, MAX_ATTEMPTS = 5, 20, 3
"""For each call; AWS allows five per second and throttles more: boto3 waits and tries again."""
MAX_ERROR_LENGTH = 500
TOO_LONG = "is longer than a background job may read"
"""In the problem of a batch whose log only a command reads: each job would start at the beginning, and get no further."""
_HINTS = {
    "ResourceNotFoundException": "the log group in INGEST_LOG_GROUP does not exist in this region and account",
    "AccessDeniedException": "the credentials need the permission logs:FilterLogEvents",
}


class LogReadError(Exception):
    """The log could not be read to its end; the text says why in one line."""


class LogEvent(NamedTuple):
    """One event of the log."""

    stream: str
    timestamp: int
    """Milliseconds since the epoch."""
    message: str


def log_pages(group: str, start: datetime, end: datetime, max_seconds: float | None = None) -> Iterator[list[LogEvent]]:
    """All events from start to end, both included, in the order of the log; a page may be empty.

    Raises LogReadError, also after a page if more than `max_seconds` have passed.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    deadline = math.inf if max_seconds is None else monotonic() + max_seconds
    try:
        paginator = _client().get_paginator("filter_log_events")
        start_ms, end_ms = (round(time.timestamp() * 1000) for time in (start, end))
        for page in paginator.paginate(logGroupName=group, startTime=start_ms, endTime=end_ms):
            # A KeyError means that this is not an answer of CloudWatch Logs, but the page of a proxy, for example.
            yield [LogEvent(event["logStreamName"], event["timestamp"], event["message"]) for event in page["events"]]
            if monotonic() > deadline:
                raise LogReadError(f"log group {group} {TOO_LONG} ({max_seconds:g} s)")
    except KeyError as error:
        raise LogReadError(f"log group {group}: not an answer of CloudWatch Logs (no {error})") from error
    except (ClientError, BotoCoreError, ValueError) as error:
        text = " ".join(str(error).split())[:MAX_ERROR_LENGTH]
        code = error.response.get("Error", {}).get("Code", "") if isinstance(error, ClientError) else ""
        text = f"{_HINTS[code]} ({text})" if code in _HINTS else text
        raise LogReadError(f"log group {group}: {text}") from error


def _client() -> Any:  # noqa: ANN401 - boto3 makes its clients' classes while it runs
    import boto3
    from botocore.config import Config

    return boto3.session.Session().client(
        "logs",
        # boto3's own name for it is AWS_ENDPOINT_URL_CLOUDWATCH_LOGS; without either the region decides.
        endpoint_url=os.environ.get("AWS_ENDPOINT_URL_LOGS") or None,
        config=Config(
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=READ_TIMEOUT,
            retries={"total_max_attempts": MAX_ATTEMPTS, "mode": "standard"},
        ),
    )
