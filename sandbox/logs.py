"""A stand-in of Amazon CloudWatch Logs: its JSON protocol, with pages and tokens, events of all streams mixed by time.

Not the real thing: it keeps everything in memory, looks whether a request is signed but not by whom, and knows no patterns.
"""

import argparse
import base64
import bisect
import itertools
import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sandbox.clients import Sandbox
from sandbox.http import Request, Response
from sandbox.service import Service, add_arguments, run

REGION = "us-east-1"
LARGEST_PAGE = 10_000
PAGE_BYTES = 1024 * 1024
_TARGET = "Logs_20140328."
_SIGNED = re.compile(
    r"AWS4-HMAC-SHA256 Credential=[^/]+/\d{8}/[^/]+/logs/aws4_request, ?SignedHeaders=\S+, ?Signature=\w+"
)
_JSON = "application/x-amz-json-1.1"


class LogEvent(NamedTuple):
    """One event as it is kept: sorted, it is in the order in which the API shows events."""

    timestamp: int
    """Milliseconds since the epoch."""
    number: int
    """In the order in which events came."""
    stream: str
    message: str


class Group:
    """A log group."""

    def __init__(self) -> None:
        self.streams: set[str] = set()
        self.events: list[LogEvent] = []
        self._sorted = True

    def add(self, event: LogEvent) -> None:
        """One more event."""
        self._sorted = self._sorted and (not self.events or self.events[-1] <= event)
        self.events.append(event)
        self.streams.add(event.stream)

    def ordered(self) -> list[LogEvent]:
        """All events by time."""
        if not self._sorted:
            self.events.sort()
            self._sorted = True
        return self.events


class ApiError(Exception):
    """An error answer: its code and message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Logs(Service):
    """The API over log groups in memory. With `empty_every` N every N-th page is empty and has a token, as real ones may."""

    name = "logs"

    def __init__(self, groups: Sequence[str]) -> None:
        super().__init__()
        self.groups = {name: Group() for name in groups}
        self.empty_every = 0
        self.largest_page = LARGEST_PAGE
        self._numbers = itertools.count()
        self._pages = itertools.count(1)
        self._requests = itertools.count(1)
        self.controls |= {"POST events": self._seed, "POST groups": self._add_group}
        self._calls: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "CreateLogGroup": self._create_group,
            "CreateLogStream": self._create_stream,
            "PutLogEvents": self._put,
            "FilterLogEvents": self._filter,
        }

    def set(self, name: str, value: Any) -> None:  # noqa: ANN401 - JSON
        """`empty_every` (0: never) and `largest_page`, in events."""
        if name not in {"empty_every", "largest_page"}:
            super().set(name, value)
        setattr(self, name, int(value))

    def name_of(self, request: Request) -> str:
        """The call."""
        return request.headers.get("x-amz-target", "").removeprefix(_TARGET)

    def answer(self, request: Request) -> Response:
        """The answer to a call of the API."""
        request.name = self.name_of(request)
        try:
            return self._json(200, self._called(request)(json.loads(request.body)))
        except ApiError as error:
            return self.error(400, error.code, str(error))
        except (KeyError, TypeError, ValueError) as error:
            return self.error(400, "InvalidParameterException", f"{type(error).__name__}: {error}")

    def _called(self, request: Request) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
        if not _SIGNED.match(request.headers.get("authorization", "")):
            raise ApiError("MissingAuthenticationTokenException", "Missing Authentication Token")
        call = self._calls.get(request.name)
        if call is None or request.method != "POST":
            raise ApiError("UnknownOperationException", f"there is no {request.name} here")
        return call

    def error(self, status: int, code: str, message: str) -> Response:
        """An error as the API words it."""
        return self._json(status, {"__type": code, "message": message})

    def _json(self, status: int, data: Mapping[str, Any]) -> Response:
        headers = {"content-type": _JSON, "x-amzn-requestid": f"sandbox-{next(self._requests)}"}
        return Response(status, json.dumps(data).encode(), headers)

    def _group(self, name: str) -> Group:
        if name not in self.groups:
            raise ApiError("ResourceNotFoundException", "The specified log group does not exist.")
        return self.groups[name]

    def _create_group(self, data: Mapping[str, Any]) -> dict[str, Any]:
        if data["logGroupName"] in self.groups:
            raise ApiError("ResourceAlreadyExistsException", "The specified log group already exists")
        self.groups[data["logGroupName"]] = Group()
        return {}

    def _create_stream(self, data: Mapping[str, Any]) -> dict[str, Any]:
        self._group(data["logGroupName"]).streams.add(data["logStreamName"])
        return {}

    def _put(self, data: Mapping[str, Any]) -> dict[str, Any]:
        group, stream = self._group(data["logGroupName"]), data["logStreamName"]
        if stream not in group.streams:
            raise ApiError("ResourceNotFoundException", "The specified log stream does not exist.")
        times = [event["timestamp"] for event in data["logEvents"]]
        if times != sorted(times):
            raise ApiError(
                "InvalidParameterException", "Log events in a single request must be in chronological order."
            )
        for event in data["logEvents"]:
            group.add(LogEvent(event["timestamp"], next(self._numbers), stream, event["message"]))
        return {"nextSequenceToken": "0"}

    def _add_group(self, request: Request) -> None:
        self.groups[request.query()["group"]] = Group()

    def _seed(self, request: Request) -> int:
        """Events past the API, `[stream, timestamp, message]` each, in any order."""
        group = self._group(request.query()["group"])
        for stream, timestamp, message in json.loads(request.body):
            group.add(LogEvent(timestamp, next(self._numbers), stream, message))
        return len(group.events)

    def _filter(self, data: Mapping[str, Any]) -> dict[str, Any]:
        group = self._group(data["logGroupName"])
        if data.get("filterPattern"):
            raise ApiError("InvalidParameterException", "this stand-in knows no patterns")
        limit = int(data.get("limit", LARGEST_PAGE))
        if not 1 <= limit <= LARGEST_PAGE:
            raise ApiError("InvalidParameterException", f"limit must be between 1 and {LARGEST_PAGE}")
        after = _read_token(data["nextToken"]) if "nextToken" in data else (data.get("startTime", 0), -1)
        if self.empty_every and next(self._pages) % self.empty_every == 0:
            return {"events": [], "searchedLogStreams": [], "nextToken": _token(after)}
        found, more = self._page(group, data, after, min(limit, self.largest_page))
        answer = {"events": [_shown(event) for event in found], "searchedLogStreams": []}
        return answer | ({"nextToken": _token((found[-1].timestamp, found[-1].number))} if more else {})

    def _page(
        self, group: Group, data: Mapping[str, Any], after: tuple[int, int], limit: int
    ) -> tuple[list[LogEvent], bool]:
        """The next events in the time that is asked for, and whether there are more; a page ends at 1 MB."""
        events, until = group.ordered(), data.get("endTime", 1 << 62)
        wanted = set(data.get("logStreamNames", ()))
        prefix = data.get("logStreamNamePrefix", "")
        found: list[LogEvent] = []
        size = 0
        for index in range(bisect.bisect_right(events, (*after, "\U0010ffff", "")), len(events)):
            event = events[index]
            if event.timestamp > until:
                break
            if (wanted and event.stream not in wanted) or not event.stream.startswith(prefix):
                continue
            size += len(event.message) + 200
            if len(found) >= limit or (found and size > PAGE_BYTES):
                return found, True
            found.append(event)
        return found, False


def _shown(event: LogEvent) -> dict[str, Any]:
    return {
        "logStreamName": event.stream,
        "timestamp": event.timestamp,
        "message": event.message,
        "ingestionTime": event.timestamp,
        "eventId": f"{event.timestamp:020}{event.number:036}",
    }


def _token(after: tuple[int, int]) -> str:
    # A page that is empty must not end a client: the same token twice would.
    return base64.urlsafe_b64encode(json.dumps([*after, time.monotonic_ns()]).encode()).decode()


def _read_token(token: str) -> tuple[int, int]:
    try:
        timestamp, number, _ = json.loads(base64.urlsafe_b64decode(token))
    except ValueError:
        raise ApiError("InvalidParameterException", "The specified nextToken is invalid.") from None
    return int(timestamp), int(number)


class LogsSandbox(Sandbox):
    """CloudWatch Logs, as a context manager, with the log groups that are named."""

    def __init__(self, *groups: str) -> None:
        super().__init__(["logs"] + [part for group in groups for part in ("--group", group)])

    def environ(self) -> dict[str, str]:
        """The variables that point boto3 at it; keys are those of the S3 server, any do."""
        return {"AWS_ENDPOINT_URL_LOGS": self.endpoint, "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}

    def put(self, group: str, events: Sequence[tuple[str, int, str]]) -> None:
        """Events past the API: stream, milliseconds since the epoch, message; in any order."""
        for start in range(0, len(events), 50_000):
            self.call("POST", "events", events[start : start + 50_000], group=group)

    def calls(self, name: str) -> int:
        """How many calls of this name it answered."""
        return sum(one["name"] == name for one in self.log("POST"))


def main(arguments: list[str]) -> int:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(prog="python -m sandbox logs", description=__doc__)
    add_arguments(parser)
    parser.add_argument("--group", action="append", default=[], help="a log group that is there from the start")
    options = parser.parse_args(arguments)
    facts = {"groups": options.group, "region": REGION}
    return run(Logs(options.group), options.port, follow_stdin=options.follow_stdin, facts=facts)
