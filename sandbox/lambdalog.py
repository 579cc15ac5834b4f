"""What the ingest Lambda writes into its log (domain.md 1, "CloudWatch log lines"): for the stand-in, and for tests.

One request handles several objects, one after the other; several run at a time, each with its own log stream. SPELLINGS are
those of Lambda (as text, and as JSON) and of libraries that wrap its lines.
"""

import base64
import binascii
import itertools
import json
import os
import time
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

STREAMS = 4
SPELLINGS = ("text", "json", "powertools", "prefixed", "basic", "bare")
TRACES = ("none", "one event", "several events")
"""How the traceback of an exception is logged."""
_FRAMES = (
    '  File "/var/task/app.py", line 41, in handler',
    "    ingest(record)",
    '  File "/var/task/ingest.py", line 7, in ingest',
    "    response.raise_for_status()",
)
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


def spell(spelling: str, level: str, at: int, request: str, text: str) -> str:
    """The same in one of SPELLINGS."""
    when = datetime.fromtimestamp(at / 1000, UTC)
    iso = f"{when:%Y-%m-%dT%H:%M:%S}.{at % 1000:03}Z"
    if spelling == "json":
        return json.dumps({"timestamp": iso, "level": level, "message": text, "logger": "root", "requestId": request})
    if spelling == "powertools":
        head = {"level": level, "location": "handler:41", "message": text, "timestamp": iso, "service": "ingest"}
        return json.dumps(
            head | {"function_request_id": request, "xray_trace_id": "1-5759e988-bd862e3fe1be46a994272793"}
        )
    if spelling == "prefixed":
        return f"{when:%Y-%m-%d %H:%M:%S},{at % 1000:03} - root - {level} - [{request}] {text}"
    if spelling == "basic":
        return f"{level}:root:{text}"
    return text if spelling == "bare" else line(level, at, request, text)


def spell_exception(spelling: str, at: int, request: str, text: str, trace: str = "none") -> list[str]:
    """The events of an exception, `text` its own line, with its traceback as `trace` says."""
    kind, _, message = text.partition(": ")
    if trace == "none":
        return [spell(spelling, "ERROR", at, request, text)]
    lines = ["Traceback (most recent call last):", *_FRAMES, text]
    if spelling in ("json", "powertools"):
        fields: dict[str, Any] = json.loads(spell(spelling, "ERROR", at, request, "the record was not ingested"))
        if spelling == "powertools":
            return [json.dumps(fields | {"exception": "\n".join(lines), "exception_name": kind})]
        kind = kind.rpartition(".")[2]
        return [json.dumps(fields | {"errorType": kind, "errorMessage": message, "stackTrace": list(_FRAMES)})]
    if trace == "one event":
        return [spell(spelling, "ERROR", at, request, "\n".join(lines))]
    return [spell(spelling, "ERROR", at, request, lines[0]), *lines[1:]]


def lines_of(key: str, at: int, request: str, spelling: str = "text") -> Iterator[str]:
    """The lines that it logs when it begins an object."""
    yield spell(spelling, "INFO", at, request, "Object key: " + key.replace("=", "%3D"))
    parts = _parts(key)
    if len(parts) >= 4:
        yield spell(spelling, "INFO", at, request, f"Decoded batch: {parts[0]}")
        yield spell(spelling, "INFO", at, request, f"Decoded identifier: {'|'.join(parts[2:-1])}")


def platform_lines(request: str, spelling: str = "text") -> tuple[str, str]:
    """What the platform logs at the start and at the end of a request; JSON only with Lambda's own JSON."""
    if spelling == "json":
        start = {"type": "platform.start", "record": {"requestId": request, "version": "$LATEST"}}
        return json.dumps(start), json.dumps(
            {"type": "platform.runtimeDone", "record": {"requestId": request, "status": "success"}}
        )
    return f"START RequestId: {request} Version: $LATEST\n", f"END RequestId: {request}\n"


def _parts(key: str) -> list[str]:
    try:
        return base64.urlsafe_b64decode(key).decode().split("|")
    except (binascii.Error, ValueError):
        return []


class LambdaLog:
    """Writes to a log group of CloudWatch Logs (AWS_ENDPOINT_URL_LOGS)."""

    def __init__(self, group: str, spelling: str = "text", trace: str = "none") -> None:
        self._group, self._spelling, self._trace = group, spelling, trace
        self._streams = [f"2026/11/24/[$LATEST]{uuid.uuid4().hex}" for _ in range(STREAMS)]
        self._turns, self._reasons = itertools.cycle(self._streams), itertools.cycle(REASONS)
        self._client = _client()
        for stream in self._streams:
            self._client.create_log_stream(logGroupName=group, logStreamName=stream)

    def write(self, tried: Sequence[tuple[str, bool]]) -> None:
        """One request that handles these objects: key, and whether it fails."""
        request, at = str(uuid.uuid4()), round(time.time() * 1000)
        start, end = platform_lines(request, self._spelling)
        messages = [start]
        for key, fails in tried:
            messages += lines_of(key, at, request, self._spelling)
            if fails:
                messages += spell_exception(self._spelling, at, request, next(self._reasons), self._trace)
        messages.append(end)
        events = [{"timestamp": at, "message": message} for message in messages]
        stream = next(self._turns)
        self._client.put_log_events(logGroupName=self._group, logStreamName=stream, logEvents=events)


def _client() -> Any:  # noqa: ANN401 - boto3 makes its clients' classes while it runs
    import boto3
    from botocore.config import Config

    config, endpoint = Config(connect_timeout=5, read_timeout=10), os.environ.get("AWS_ENDPOINT_URL_LOGS")
    return boto3.session.Session().client("logs", endpoint_url=endpoint or None, config=config)
