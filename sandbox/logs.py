"""A stand-in of Amazon CloudWatch Logs: its JSON protocol, with pages and tokens, events of all streams mixed by time.

It keeps everything in memory, checks that a request is signed but not by whom, and supports no filter patterns.
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
from sandbox.http import RawRequest, Response
from sandbox.service import Service, add_arguments, run

REGION = "us-east-1"
LARGEST_PAGE = 10_000
PAGE_BYTES = 1024 * 1024
TOKENS = ("none", "same", "round", "endless")
_TARGET = "Logs_20140328."
_SIGNED = re.compile(
    r"AWS4-HMAC-SHA256 Credential=[^/]+/\d{8}/([^/]+)/logs/aws4_request, ?SignedHeaders=\S+, ?Signature=\w+"
)
_JSON = "application/x-amz-json-1.1"


class StoredEvent(NamedTuple):
    """One stored event; they sort in the order in which the API returns them."""

    timestamp: int
    """Milliseconds since the epoch."""
    number: int
    """In the order in which events came."""
    stream: str
    message: str


class LogGroup:
    """A log group."""

    def __init__(self) -> None:
        self.streams: set[str] = set()
        self.events: list[StoredEvent] = []
        self._sorted = True

    def add(self, event: StoredEvent) -> None:
        """One more event."""
        self._sorted = self._sorted and (not self.events or self.events[-1] <= event)
        self.events.append(event)
        self.streams.add(event.stream)

    def ordered(self) -> list[StoredEvent]:
        """All events by time."""
        if not self._sorted:
            self.events.sort()
            self._sorted = True
        return self.events


class LogsApiError(Exception):
    """An error answer: its code and message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Logs(Service):
    """The API over log groups in memory.

    Settings of its pages: with `empty_every` N every N-th one is empty and has a token, as real ones may; `largest_page`, in
    events; with `mixed` 1 pages come in no order of time. And `tokens`, of the last page: "none", "same" (the one that was
    sent), "round" (that of the first page) or "endless" (a new one, and empty pages for ever).
    """

    name = "logs"

    def __init__(self, groups: Sequence[str]) -> None:
        super().__init__()
        self.groups = {name: LogGroup() for name in groups}
        self.empty_every = 0
        self.largest_page = LARGEST_PAGE
        self.mixed = 0
        self.tokens = "none"
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
        """A setting of its pages."""
        if name not in {"empty_every", "largest_page", "mixed", "tokens"} or (name == "tokens" and value not in TOKENS):
            super().set(name, value)
        setattr(self, name, value if name == "tokens" else int(value))

    def name_of(self, request: RawRequest) -> str:
        """The call."""
        return request.headers.get("x-amz-target", "").removeprefix(_TARGET)

    def answer(self, request: RawRequest) -> Response:
        """The answer to a call of the API."""
        request.name = self.name_of(request)
        try:
            return self._json(200, self._operation(request)(json.loads(request.body)))
        except LogsApiError as error:
            return self.error(400, error.code, str(error))
        except (KeyError, TypeError, ValueError) as error:
            return self.error(400, "InvalidParameterException", f"{type(error).__name__}: {error}")

    def _operation(self, request: RawRequest) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
        signed = _SIGNED.match(request.headers.get("authorization", ""))
        if not signed:
            raise LogsApiError("MissingAuthenticationTokenException", "Missing Authentication Token")
        if signed[1] != REGION:
            raise LogsApiError(
                "InvalidSignatureException", f"Credential should be scoped to a valid region, not {signed[1]!r}."
            )
        call = self._calls.get(request.name)
        if call is None or request.method != "POST":
            raise LogsApiError("UnknownOperationException", f"{request.name} is not supported")
        return call

    def error(self, status: int, code: str, message: str) -> Response:
        """An error as the API words it."""
        return self._json(status, {"__type": code, "message": message})

    def _json(self, status: int, data: Mapping[str, Any]) -> Response:
        headers = {"content-type": _JSON, "x-amzn-requestid": f"sandbox-{next(self._requests)}"}
        return Response(status, json.dumps(data).encode(), headers)

    def _group(self, name: str) -> LogGroup:
        if name not in self.groups:
            raise LogsApiError("ResourceNotFoundException", "The specified log group does not exist.")
        return self.groups[name]

    def _create_group(self, data: Mapping[str, Any]) -> dict[str, Any]:
        if data["logGroupName"] in self.groups:
            raise LogsApiError("ResourceAlreadyExistsException", "The specified log group already exists")
        self.groups[data["logGroupName"]] = LogGroup()
        return {}

    def _create_stream(self, data: Mapping[str, Any]) -> dict[str, Any]:
        self._group(data["logGroupName"]).streams.add(data["logStreamName"])
        return {}

    def _put(self, data: Mapping[str, Any]) -> dict[str, Any]:
        group, stream = self._group(data["logGroupName"]), data["logStreamName"]
        if stream not in group.streams:
            raise LogsApiError("ResourceNotFoundException", "The specified log stream does not exist.")
        times = [event["timestamp"] for event in data["logEvents"]]
        if times != sorted(times):
            raise LogsApiError(
                "InvalidParameterException", "Log events in a single request must be in chronological order."
            )
        for event in data["logEvents"]:
            group.add(StoredEvent(event["timestamp"], next(self._numbers), stream, event["message"]))
        return {"nextSequenceToken": "0"}

    def _add_group(self, request: RawRequest) -> None:
        self.groups[request.query()["group"]] = LogGroup()

    def _seed(self, request: RawRequest) -> int:
        """Adds events without the API, `[stream, timestamp, message]` each, in any order."""
        group = self._group(request.query()["group"])
        for stream, timestamp, message in json.loads(request.body):
            group.add(StoredEvent(timestamp, next(self._numbers), stream, message))
        return len(group.events)

    def _filter(self, data: Mapping[str, Any]) -> dict[str, Any]:
        group = self._group(data["logGroupName"])
        if data.get("filterPattern"):
            raise LogsApiError("InvalidParameterException", "this stand-in supports no filter patterns")
        limit = int(data.get("limit", LARGEST_PAGE))
        if not 1 <= limit <= LARGEST_PAGE:
            raise LogsApiError("InvalidParameterException", f"limit must be between 1 and {LARGEST_PAGE}")
        if self.mixed:
            return self._mixed_page(group, data, min(limit, self.largest_page))
        after = _read_token(data["nextToken"]) if "nextToken" in data else (data.get("startTime", 0), -1)
        if self.empty_every and next(self._pages) % self.empty_every == 0:
            return {"events": [], "searchedLogStreams": [], "nextToken": _token(after)}
        found, more = self._page(group, data, after, min(limit, self.largest_page))
        answer = {"events": [_event_data(event) for event in found], "searchedLogStreams": []}
        if more:
            return answer | {"nextToken": _token((found[-1].timestamp, found[-1].number))}
        first = {"nextToken": _token((data.get("startTime", 0), -1), at=0)}
        last: dict[str, dict[str, Any]] = {
            "same": {"nextToken": data["nextToken"]} if "nextToken" in data else first,
            "round": first,
            "endless": {"nextToken": _token((found[-1].timestamp, found[-1].number) if found else after)},
        }
        return answer | last.get(self.tokens, {})

    def _mixed_page(self, group: LogGroup, data: Mapping[str, Any], limit: int) -> dict[str, Any]:
        """Pages of all events, every other one first, and then the others."""
        everything, _ = self._page(group, data, (data.get("startTime", 0), -1), 1 << 62)
        pages = [everything[at : at + limit] for at in range(0, len(everything), limit)] or [[]]
        pages = pages[1::2] + pages[::2]
        number = int(data.get("nextToken", 0))
        more = {"nextToken": str(number + 1)} if number + 1 < len(pages) else {}
        return {"events": [_event_data(event) for event in pages[number]], "searchedLogStreams": [], **more}

    def _page(
        self, group: LogGroup, data: Mapping[str, Any], after: tuple[int, int], limit: int
    ) -> tuple[list[StoredEvent], bool]:
        """The next events in the time that is asked for, and whether there are more; a page ends at 1 MB."""
        events, until = group.ordered(), data.get("endTime", 1 << 62)
        wanted = set(data.get("logStreamNames", ()))
        prefix = data.get("logStreamNamePrefix", "")
        found: list[StoredEvent] = []
        size = 0
        for index in range(bisect.bisect_right(events, (*after, "\U0010ffff", "")), len(events)):
            event = events[index]
            if event.timestamp > until:
                break
            if (wanted and event.stream not in wanted) or not event.stream.startswith(prefix):
                continue
            size += len(event.message) + 200
            if len(found) >= limit or (found and size > PAGE_BYTES and not self.mixed):
                return found, True
            found.append(event)
        return found, False


def _event_data(event: StoredEvent) -> dict[str, Any]:
    return {
        "logStreamName": event.stream,
        "timestamp": event.timestamp,
        "message": event.message,
        "ingestionTime": event.timestamp,
        "eventId": f"{event.timestamp:020}{event.number:036}",
    }


def _token(after: tuple[int, int], at: int | None = None) -> str:
    # A page that is empty must not end a client: the same token twice would.
    made = time.monotonic_ns() if at is None else at
    return base64.urlsafe_b64encode(json.dumps([*after, made]).encode()).decode()


def _read_token(token: str) -> tuple[int, int]:
    try:
        timestamp, number, _ = json.loads(base64.urlsafe_b64decode(token))
    except ValueError:
        raise LogsApiError("InvalidParameterException", "The specified nextToken is invalid.") from None
    return int(timestamp), int(number)


class LogsSandbox(Sandbox):
    """CloudWatch Logs, as a context manager, with the log groups that are named."""

    def __init__(self, *groups: str) -> None:
        super().__init__(["logs"] + [part for group in groups for part in ("--group", group)])

    def environ(self) -> dict[str, str]:
        """The variables that point boto3 at it; keys are those of the S3 server, any do."""
        return {"AWS_ENDPOINT_URL_LOGS": self.endpoint, "AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}

    def put(self, group: str, events: Sequence[tuple[str, int, str]]) -> None:
        """Adds events without the API: stream, milliseconds since the epoch, message; in any order."""
        for start in range(0, len(events), 50_000):
            self.call("POST", "events", events[start : start + 50_000], group=group)

    def calls(self, name: str) -> int:
        """How many calls of this name it answered."""
        return sum(one["name"] == name for one in self.log("POST"))


def main(arguments: list[str]) -> int:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(prog="python -m sandbox logs", description=__doc__)
    add_arguments(parser)
    parser.add_argument("--group", action="append", default=[], help="a log group that is there from the start")
    options = parser.parse_args(arguments)
    facts = {"groups": options.group, "region": REGION}
    return run(Logs(options.group), options.port, follow_stdin=options.follow_stdin, facts=facts)
