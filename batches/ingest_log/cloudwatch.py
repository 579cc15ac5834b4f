"""The log of the ingest, page by page, from CloudWatch Logs (boto3, which finds endpoint, region and credentials itself)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

CONNECT_SECONDS, READ_SECONDS, ATTEMPTS = 5, 20, 3
"""Of each call; AWS allows five a second, and throttles more: boto3 waits and tries again."""
_WAY_OUT = {
    "ResourceNotFoundException": "INGEST_LOG_GROUP names a log group that is not there (in this region and account)",
    "AccessDeniedException": "the credentials need the permission logs:FilterLogEvents",
}


class LogReadError(Exception):
    """The log could not be read to its end; the text says why, in one line."""


class LogEvent(NamedTuple):
    """One event of the log."""

    stream: str
    timestamp: int
    """Milliseconds since the epoch."""
    message: str


def log_pages(group: str, start: datetime, end: datetime) -> Iterator[list[LogEvent]]:
    """All events of the time, both ends included, in the order in which the log shows them; a page may be empty.

    Raises LogFailed.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        paginator = _client().get_paginator("filter_log_events")
        for page in paginator.paginate(logGroupName=group, startTime=_millis(start), endTime=_millis(end)):
            # Without the list it is no answer of the service, whatever a proxy's page says.
            yield [LogEvent(one["logStreamName"], one["timestamp"], one["message"]) for one in page["events"]]
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        hint = f": {_WAY_OUT[code]}" if code in _WAY_OUT else ""
        raise LogReadError(f"log group {group}{hint} ({_reason_line(error)})") from error
    except KeyError as error:
        raise LogReadError(f"log group {group}: the answer is not one of CloudWatch Logs (no {error})") from error
    except (BotoCoreError, ValueError) as error:
        raise LogReadError(f"log group {group}: {_reason_line(error)}") from error


def _client() -> Any:  # noqa: ANN401 - boto3 makes its clients' classes while it runs
    import boto3
    from botocore.config import Config

    return boto3.session.Session().client(
        "logs",
        # boto3's own name for it is AWS_ENDPOINT_URL_CLOUDWATCH_LOGS; without either it goes by the region.
        endpoint_url=os.environ.get("AWS_ENDPOINT_URL_LOGS") or None,
        config=Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
        ),
    )


def _millis(when: datetime) -> int:
    return round(when.timestamp() * 1000)


def _reason_line(error: Exception) -> str:
    return " ".join(str(error).split())[:500]
