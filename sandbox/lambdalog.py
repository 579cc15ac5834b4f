"""What the ingest Lambda writes into its log (domain.md 1, "CloudWatch log lines"): for the stand-in, and for tests.

One request handles several objects, one after the other; several run at a time, each with its own log stream.
"""

import base64
import binascii
import itertools
import os
import time
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

STREAMS = 4
REASONS = (
    "Exception: 409 Client Error:  for url: https://core.example.org/cspace-services/collectionobjects",
    "Exception: 400 Client Error: Bad Request for url: https://core.example.org/cspace-services/collectionobjects",
    "Exception: 500 Server Error:  for url: https://core.example.org/cspace-services/collectionobjects",
)
"""The errors that it logs for failing objects, in turn."""


def line(level: str, at: int, request: str, text: str) -> str:
    """One line; `at` in milliseconds since the epoch."""
    when = datetime.fromtimestamp(at / 1000, UTC)
    return f"[{level}]\t{when:%Y-%m-%dT%H:%M:%S}.{at % 1000:03}Z\t{request}\t{text}"


def lines_of(key: str, at: int, request: str) -> Iterator[str]:
    """The lines that it logs when it begins an object."""
    yield line("INFO", at, request, "Object key: " + key.replace("=", "%3D"))
    parts = _parts(key)
    if len(parts) >= 4:
        yield line("INFO", at, request, f"Decoded batch: {parts[0]}")
        yield line("INFO", at, request, f"Decoded identifier: {'|'.join(parts[2:-1])}")


def _parts(key: str) -> list[str]:
    try:
        return base64.urlsafe_b64decode(key).decode().split("|")
    except (binascii.Error, ValueError):
        return []


class LambdaLog:
    """Writes to a log group of CloudWatch Logs (AWS_ENDPOINT_URL_LOGS)."""

    def __init__(self, group: str) -> None:
        self._group = group
        self._streams = [f"2026/11/24/[$LATEST]{uuid.uuid4().hex}" for _ in range(STREAMS)]
        self._turns, self._reasons = itertools.cycle(self._streams), itertools.cycle(REASONS)
        self._client = _client()
        for stream in self._streams:
            self._client.create_log_stream(logGroupName=group, logStreamName=stream)

    def write(self, tried: Sequence[tuple[str, bool]]) -> None:
        """One request that handles these objects: key, and whether it fails."""
        request, at = str(uuid.uuid4()), round(time.time() * 1000)
        messages: list[str] = []
        for key, fails in tried:
            messages += lines_of(key, at, request)
            messages += [line("ERROR", at, request, next(self._reasons))] if fails else []
        events = [{"timestamp": at, "message": message} for message in messages]
        stream = next(self._turns)
        self._client.put_log_events(logGroupName=self._group, logStreamName=stream, logEvents=events)


def _client() -> Any:  # noqa: ANN401 - boto3 makes its clients' classes while it runs
    import boto3
    from botocore.config import Config

    config, endpoint = Config(connect_timeout=5, read_timeout=10), os.environ.get("AWS_ENDPOINT_URL_LOGS")
    return boto3.session.Session().client("logs", endpoint_url=endpoint or None, config=config)
