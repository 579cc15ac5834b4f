"""A proxy in front of a real S3 server that makes chosen requests fail, and logs all of them.

Signatures stay valid: the client signs for the proxy's address, and the server checks the Host that it gets.
"""

import argparse
import asyncio
import http.client
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import unquote, urlsplit

from sandbox.clients import Sandbox
from sandbox.http import RawRequest, Response
from sandbox.service import Service, add_arguments, run

_OWN_HEADERS = {"connection", "transfer-encoding", "expect", "content-length"}
_CODES = {500: "InternalError", 503: "SlowDown", 403: "AccessDenied", 404: "NoSuchKey"}


class FaultProxy(Sandbox):
    """A running proxy, as a context manager; `faults` and `log` are those of every stand-in.

    For example, the second page of every listing answers 500, again and again:
    `proxy.faults({"method": "GET", "path": "continuation-token=", "kind": "status", "status": 500})`.
    An error inside a 200: `{"kind": "status", "status": 200, "code": "InternalError"}`.
    """

    def __init__(self, upstream: str) -> None:
        super().__init__(["faultproxy", "--upstream", upstream])


class Proxy(Service):
    """Passes requests on, by up to 64 threads, each with its own connection."""

    name = "a faulty network before S3"

    def __init__(self, upstream: str) -> None:
        super().__init__()
        self._upstream = urlsplit(upstream)
        self._threads = ThreadPoolExecutor(64)

    def name_of(self, request: RawRequest) -> str:
        """The key of the object."""
        return unquote(request.path).removeprefix("/").partition("/")[2]

    def error(self, status: int, code: str, message: str) -> Response:
        """An error response of S3."""
        code = (
            code
            if status not in _CODES or not re.fullmatch("InternalServerError|NotAllowed|", code)
            else _CODES[status]
        )
        text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>{message}</Message></Error>'
        return Response(status, text.encode(), {"content-type": "application/xml"})

    async def answer(self, request: RawRequest) -> Response:
        """The answer of the server; 502 if it is unavailable."""
        request.name = self.name_of(request)
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._ask, request)

    def _ask(self, request: RawRequest) -> Response:
        upstream = http.client.HTTPConnection(self._upstream.hostname or "", self._upstream.port, timeout=60)
        try:
            upstream.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
            for name, value in request.headers.items():
                if name not in _OWN_HEADERS:
                    upstream.putheader(name, value)
            upstream.putheader("content-length", str(len(request.body)))
            upstream.endheaders(request.body)
            return _copy(upstream.getresponse(), request)
        except (OSError, http.client.HTTPException) as error:
            return self.error(502, "BadGateway", str(error))
        finally:
            upstream.close()


def _copy(response: http.client.HTTPResponse, request: RawRequest) -> Response:
    body = response.read()
    headers = {name.lower(): value for name, value in response.getheaders() if name.lower() not in _OWN_HEADERS}
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
