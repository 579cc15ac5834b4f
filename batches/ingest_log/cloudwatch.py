"""Reads the ingest log page by page from CloudWatch Logs (boto3 finds endpoint and credentials itself)."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from batches.ingest_log.events import EventStore, LogEvent
from core.processes import monotonic
from objectstores.base import StoreError, TooLarge, Unavailable

CONNECT_TIMEOUT, READ_TIMEOUT, MAX_ATTEMPTS = 5, 20, 3
"""For each call; AWS allows five per second and throttles more: boto3 waits and tries again."""
MAX_IDLE_SECONDS = 600
"""Pages without a new event end the reading after this time: AWS may scan a large log for a while, but not for ever."""
MAX_ERROR_LENGTH = 500
TOO_LONG = "is longer than a background job may read"
"""In the problem of a batch whose log only a command reads: each job would start at the beginning, and get no further."""
_HINTS = {
    "ResourceNotFoundException": "the log group in INGEST_LOG_GROUP does not exist in this region and account",
    "AccessDeniedException": "the credentials need the permission logs:FilterLogEvents",
}


class LogReadError(Exception):
    """The log could not be read to its end; the text says why in one line."""


def read_events(
    events: EventStore, group: str, start: datetime, end: datetime, max_seconds: float | None = None
) -> Iterator[None]:
    """Puts all events from start to end, both included, into `events`; yields after each page.

    Raises LogReadError, also after a page if more than `max_seconds` have passed, and if the service comes to no end.
    """
    deadline = math.inf if max_seconds is None else monotonic() + max_seconds
    progress = monotonic()
    for page in _pages(group, start, end):
        if events.add(page):
            progress = monotonic()
        yield
        if monotonic() > deadline:
            raise LogReadError(f"log group {group} {TOO_LONG} ({max_seconds:g} s)")
        if monotonic() - progress > MAX_IDLE_SECONDS:
            raise LogReadError(
                f"log group {group}: CloudWatch Logs returned no new event for {MAX_IDLE_SECONDS:g} s, and no end"
            )


def _pages(group: str, start: datetime, end: datetime) -> Iterator[list[LogEvent]]:
    """The pages as the service returns them: some may be empty, out of order, or come twice."""
    from botocore.exceptions import BotoCoreError, ClientError

    from objectstores.aws_session import translated_errors

    start_ms, end_ms = (round(time.timestamp() * 1000) for time in (start, end))
    arguments: dict[str, Any] = {"logGroupName": group, "startTime": start_ms, "endTime": end_ms}
    seen: set[int] = set()
    try:
        with translated_errors(f"log group {group}"):
            client = _client()
        while True:
            page = client.filter_log_events(**arguments)
            token = page.get("nextToken")
            # A KeyError means that this is not an answer of CloudWatch Logs, but the page of a proxy, for example.
            found = page.get("events", []) if token else page["events"]
            yield [
                LogEvent(
                    _text(event["logStreamName"]), event["timestamp"], _text(event["message"]), event.get("eventId")
                )
                for event in found
            ]
            # The same token again is the end (GetLogEvents documents that).
            if not token or token == arguments.get("nextToken"):
                return
            if hash(token) in seen:
                raise LogReadError(f"log group {group}: CloudWatch Logs returns the same pages again and again")
            seen.add(hash(token))
            arguments["nextToken"] = token
    except KeyError as error:
        raise LogReadError(f"log group {group}: not an answer of CloudWatch Logs (no {error})") from error
    except StoreError as error:
        raise LogReadError(str(error)) from error
    except (ClientError, BotoCoreError, ValueError) as error:
        text = " ".join(str(error).split())[:MAX_ERROR_LENGTH]
        code = error.response.get("Error", {}).get("Code", "") if isinstance(error, ClientError) else ""
        text = f"{_HINTS[code]} ({text})" if code in _HINTS else text
        raise LogReadError(f"log group {group}: {text}") from error


def _text(value: object) -> str:
    """JSON may hold half of a pair of surrogates, which no database takes."""
    return str(value).encode(errors="replace").decode()


def _client() -> Any:  # noqa: ANN401 - boto3 makes its clients' classes while it runs
    from botocore.config import Config

    from objectstores.aws_session import aws_region, aws_session, ca_bundle
    from objectstores.http import Connections

    session = aws_session(os.environ)
    client = session.client(
        "logs",
        region_name=aws_region(os.environ),
        # boto3's own name for it is AWS_ENDPOINT_URL_CLOUDWATCH_LOGS; without either the region decides.
        endpoint_url=os.environ.get("AWS_ENDPOINT_URL_LOGS") or None,
        config=Config(
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=READ_TIMEOUT,
            retries={"total_max_attempts": MAX_ATTEMPTS, "mode": "standard"},
        ),
    )
    # botocore's own exchanges have no bounds of time and size as a whole.
    endpoint = urlsplit(client.meta.endpoint_url)
    connections = Connections(
        f"{endpoint.scheme}://{endpoint.netloc}", ca_bundle=ca_bundle(session, os.environ), read_timeout=READ_TIMEOUT
    )
    client.meta.events.register("before-send.cloudwatch-logs", partial(_send, connections))
    return client


def _send(connections: Any, request: Any, **_: object) -> Any:  # noqa: ANN401 - botocore's
    """Sends a request that botocore has signed; its parser and its retries work as ever."""
    from botocore.awsrequest import AWSResponse
    from botocore.exceptions import HTTPClientError
    from urllib3 import HTTPResponse

    url = urlsplit(request.url)
    headers = {name: value.decode() if isinstance(value, bytes) else value for name, value in request.headers.items()}
    try:
        answer = connections.send(request.method, url.path + (url.query and "?" + url.query), headers, request.body)
    except (Unavailable, TooLarge) as error:
        raise HTTPClientError(error=error) from error
    return AWSResponse(
        request.url, answer.status, answer.headers, HTTPResponse(io.BytesIO(answer.body), preload_content=False)
    )
