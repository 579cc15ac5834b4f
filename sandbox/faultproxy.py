"""A proxy before a real S3 server that makes chosen requests go wrong, and writes down all of them.

Signatures go on being right: the client signs for the proxy's address, and the server checks what it is told (Host).
"""

import argparse
import asyncio
import http.client
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote, urlsplit

from sandbox.clients import Sandbox
from sandbox.http import Request, Response
from sandbox.service import Service, add_arguments, run

_OURS = {"connection", "transfer-encoding", "expect", "content-length"}
_WORDS = {500: "InternalError", 503: "SlowDown", 403: "AccessDenied", 404: "NoSuchKey"}


class FaultProxy(Sandbox):
    """A running proxy, as a context manager; `faults` and `log` are those of every stand-in.

    For example, the second page of every listing answers 500, again and again:
    `proxy.faults({"method": "GET", "path": "continuation-token=", "kind": "status", "status": 500})`.
    An error inside a 200: `{"kind": "status", "status": 200, "code": "InternalError"}`.
    """

    def __init__(self, upstream: str) -> None:
        super().__init__(["faultproxy", "--upstream", upstream])


class Proxy(Service):
    """Passes requests on, by up to 64 threads, each with a connection of its own."""

    name = "a faulty network before S3"

    def __init__(self, upstream: str) -> None:
        super().__init__()
        self._upstream = urlsplit(upstream)
        self._threads = ThreadPoolExecutor(64)

    def name_of(self, request: Request) -> str:
        """The key of the object."""
        return unquote(request.path).removeprefix("/").partition("/")[2]

    def error(self, status: int, code: str, message: str) -> Response:
        """An error as S3 words it."""
        code = (
            code
            if status not in _WORDS or not re.fullmatch("InternalServerError|NotAllowed|", code)
            else _WORDS[status]
        )
        text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
        return Response(status, text.encode(), {"content-type": "application/xml"})

    async def answer(self, request: Request) -> Response:
        """The answer of the server; 502 when it is away."""
        request.name = self.name_of(request)
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._ask, request)

    def _ask(self, request: Request) -> Response:
        upstream = http.client.HTTPConnection(self._upstream.hostname or "", self._upstream.port, timeout=60)
        try:
            upstream.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
            for name, value in request.headers.items():
                if name not in _OURS:
                    upstream.putheader(name, value)
            upstream.putheader("content-length", str(len(request.body)))
            upstream.endheaders(request.body)
            return _copy(upstream.getresponse(), request)
        except (OSError, http.client.HTTPException) as error:
            return self.error(502, "BadGateway", str(error))
        finally:
            upstream.close()


def _copy(response: http.client.HTTPResponse, request: Request) -> Response:
    body = response.read()
    headers = {name.lower(): value for name, value in response.getheaders() if name.lower() not in _OURS}
    if request.method == "HEAD":
        headers["content-length"] = response.headers.get("content-length", "0")
    return Response(response.status, body, headers)


def main(arguments: list[str]) -> int:
    """Run the proxy from the command line."""
    parser = argparse.ArgumentParser(prog="python -m sandbox faultproxy", description=__doc__)
    add_arguments(parser)
    parser.add_argument("--upstream", required=True, help="the real server, http://127.0.0.1:PORT")
    options = parser.parse_args(arguments)
    facts: dict[str, Any] = {"upstream": options.upstream}
    return run(Proxy(options.upstream), options.port, follow_stdin=options.follow_stdin, facts=facts)
