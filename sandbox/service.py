"""What the stand-ins written here have in common: faults on demand, a log of requests, control calls, a start."""

import argparse
import asyncio
import contextlib
import dataclasses
import gc
import json
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple
from urllib.parse import unquote

from sandbox import process
from sandbox.faults import Rule, WrongRuleError, corrupted, read_rules
from sandbox.http import Admission, RawRequest, Response, serve

LOG_LENGTH = 200_000
LOGIN_PAGE = "<!doctype html><html><head><title>Sign in</title></head><body><form>Please sign in</form></body></html>"


class RequestRecord(NamedTuple):
    """One answered request, as `GET /sandbox/log` shows it; the times are seconds of the monotonic clock."""

    method: str
    target: str
    name: str
    status: int
    started: float
    ended: float


class ControlError(Exception):
    """An invalid control call, for the reason in the text."""


class Service:
    """Answers requests: control calls under /sandbox/, faults when there are rules, else what `answer` says.

    To add a control call, name it in `self.controls` as "METHOD what" of `/sandbox/what`; it returns JSON data.
    """

    name = "?"

    def __init__(self) -> None:
        self.rules: list[Rule] = []
        self.log: deque[RequestRecord] = deque(maxlen=LOG_LENGTH)
        self.dropped = 0
        self.background: set[asyncio.Future[Response]] = set()
        self.admission: Admission | None = None
        self.controls: dict[str, Callable[[RawRequest], Any]] = {
            "GET faults": lambda _: [dataclasses.asdict(rule) for rule in self.rules],
            "POST faults": self._add_faults,
            "DELETE faults": lambda _: self.rules.clear(),
            "GET log": self._show_log,
            "DELETE log": self._clear_log,
            "GET stats": lambda _: self.stats(),
            "POST set": self._set,
        }

    def answer(self, request: RawRequest) -> Response | Awaitable[Response]:
        """The true answer to a request that is no control call."""
        raise NotImplementedError

    def name_of(self, request: RawRequest) -> str:
        """The object or guid that a request is about, for the rules of faults; empty when there is none."""
        raise NotImplementedError

    def error(self, status: int, code: str, message: str) -> Response:
        """An error response of this service."""
        raise NotImplementedError

    def stats(self) -> dict[str, Any]:
        """Numbers for tests and benchmarks."""
        return {"requests": len(self.log) + self.dropped, "cpu_seconds": time.process_time()}

    def set(self, name: str, value: Any) -> None:  # noqa: ANN401 - JSON
        """Change a setting while running; ControlError for an unknown one."""
        raise ControlError(f"there is no setting {name}: {value!r}")

    def handle(self, request: RawRequest) -> Response | Awaitable[Response]:
        """The answer to one request."""
        if request.path.startswith("/sandbox/"):
            return self._control(request)
        if self.rules and (rule := self._rule_for(request)):
            return self._go_wrong(rule, request)
        return self.answer(request)

    def answered(self, request: RawRequest, response: Response) -> None:
        """Write the request into the log."""
        if request.path.startswith("/sandbox/"):
            return
        if len(self.log) == LOG_LENGTH:
            self.dropped += 1
        status = 0 if response.reset else response.status
        self.log.append(
            RequestRecord(request.method, request.target, request.name, status, request.started, time.monotonic())
        )

    def killed(self, request: RawRequest) -> None:
        """Called when the worker that was answering is killed."""

    def _rule_for(self, request: RawRequest) -> Rule | None:
        name = request.name = self.name_of(request)
        return next(
            (rule for rule in self.rules if rule.hits(request.method, request.target, name, request.headers)), None
        )

    async def _go_wrong(self, rule: Rule, request: RawRequest) -> Response:
        if rule.kind == "delay":
            await asyncio.sleep(rule.seconds or 0)
        if rule.kind in {"delay", "truncate", "corrupt", "drip"}:
            return _spoiled(rule, await self._true_answer(request))
        if rule.when == "after":
            await self._true_answer(request)
        elif rule.when == "during":
            self._in_background(request)
        if rule.kind == "hang":
            await asyncio.sleep(rule.seconds if rule.seconds is not None else 1e9)
        return self._false_answer(rule)

    async def _true_answer(self, request: RawRequest) -> Response:
        outcome = self.answer(request)
        return outcome if isinstance(outcome, Response) else await outcome

    def _in_background(self, request: RawRequest) -> None:
        task = asyncio.ensure_future(self._true_answer(request))
        self.background.add(task)
        task.add_done_callback(self.background.discard)

    def _false_answer(self, rule: Rule) -> Response:
        if rule.kind in {"reset", "hang"}:
            response = Response(0)
            response.reset = True
            return response
        if rule.kind == "page":
            return Response(200, (rule.body or LOGIN_PAGE).encode(), {"content-type": rule.content_type})
        if rule.kind == "redirect":
            return Response(302, b"", {"location": rule.body or "/login"})
        if rule.body is not None:
            return Response(rule.status, rule.body.encode(), {"content-type": rule.content_type})
        return self.error(rule.status, rule.code or _code(rule.status), rule.message)

    def _control(self, request: RawRequest) -> Response:
        call = self.controls.get(f"{request.method} {request.path.removeprefix('/sandbox/')}")
        if call is None:
            return _json(404, {"error": "no such control call", "there are": sorted(self.controls)})
        try:
            return _json(200, call(request))
        except (ControlError, WrongRuleError, ValueError, KeyError, TypeError) as error:
            return _json(400, {"error": f"{type(error).__name__}: {error}"})

    def _add_faults(self, request: RawRequest) -> int:
        self.rules.extend(read_rules(json.loads(request.body)))
        return len(self.rules)

    def _set(self, request: RawRequest) -> None:
        for name, value in json.loads(request.body).items():
            self.set(name, value)

    def _clear_log(self, _request: RawRequest) -> None:
        self.log.clear()
        self.dropped = 0

    def _show_log(self, request: RawRequest) -> dict[str, Any]:
        query = request.query()
        method, prefix = query.get("method", ""), query.get("path_prefix", "")
        chosen = (
            entry for entry in self.log if method in ("", entry.method) and unquote(entry.target).startswith(prefix)
        )
        if "count" in query:
            return {"count": sum(1 for _ in chosen), "complete": not self.dropped}
        return {"requests": [entry._asdict() for entry in chosen], "complete": not self.dropped}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that every stand-in has."""
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: a free one)")
    parser.add_argument("--follow-stdin", action="store_true", help="end when stdin ends, that is with the parent")


def run(service: Service, port: int, *, follow_stdin: bool, facts: dict[str, Any]) -> int:
    """Serve until stopped; prints the ready line with `facts`. 1 if the port is in use."""
    stop = process.Stop(follow_stdin=follow_stdin)
    # Many small objects live as long as we do: looking through them again and again costs more than it finds.
    gc.set_threshold(100_000, 50, 100)
    try:
        asyncio.run(_serve(service, port, stop, facts))
    except OSError as error:
        print(f"port {port}: {error.strerror}", file=sys.stderr)
        return 1
    return 0


async def _serve(service: Service, port: int, stop: process.Stop, facts: dict[str, Any]) -> None:
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    ready.add_done_callback(lambda done: process.announce(service.name, done.result(), **facts))
    await serve(service, port, ready, stop.filenos(), service.admission)
    for task in list(service.background):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _spoiled(rule: Rule, response: Response) -> Response:
    if rule.kind == "truncate":
        response.cut = len(response.body) // 2
    elif rule.kind == "corrupt":
        response.body = corrupted(response.body)
    elif rule.kind == "drip":
        response.drip = rule.seconds or 1.0
    return response


def _code(status: int) -> str:
    known = {400: "InvalidParameter", 401: "NotAuthenticated", 403: "NotAllowed", 404: "NotAuthorizedOrNotFound"}
    return known.get(status) or {409: "Conflict", 429: "TooManyRequests"}.get(status, "InternalServerError")


def _json(status: int, data: Any) -> Response:  # noqa: ANN401 - JSON
    return Response(status, json.dumps(data).encode(), {"content-type": "application/json"})
