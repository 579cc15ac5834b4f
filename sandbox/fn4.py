"""A stand-in of findNeighbour4, with the answers that were measured on a real server (domain.md 2)."""

import argparse
import asyncio
import base64
import datetime as dt
import html
import json
import re
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

from sandbox.http import RawRequest, Response
from sandbox.samples import SampleStore, SequenceError, StoredSample, Traffic, check_sequence
from sandbox.service import Service, add_arguments, run

API = "/api/v2/"
LOCKED = "A lock is in place preventing insertion.\n  This may arise because a separate process is inserting data.\n"
DATABASE_DOWN = "(psycopg2.OperationalError) could not connect to server: Connection refused"
SETTINGS = {"insert_seconds", "database_down", "stale_lock"}
_BREAKS_LINKS = re.compile(r"""[^\x00-\x7f]|[/\\|#?%"^\[\]{}<>` ]""")


class Fn4(Service):
    """The API over samples in memory.

    `insert_seconds` is how long an insert takes; while one runs, and for `stale_lock` seconds after the start or
    after it is set, every other one gets 409. As in the real server, the lock comes last: an id that is already there,
    or a wrong sequence, is answered at once.
    """

    name = "fn4"

    def __init__(self, reference_length: int, samples: SampleStore) -> None:
        super().__init__()
        self.reference_length = reference_length
        self.samples = samples
        self.traffic = Traffic()
        self.insert_seconds = 0.0
        self.database_down = False
        self.authorization: str | None = None
        self.prefix = ""
        self._locked = False
        self._locked_until = 0.0
        self.controls |= {
            "GET samples": lambda _: self._show_samples(),
            "POST samples": self._add_sample,
            "DELETE samples": lambda request: self.samples.remove(request.query()["guid"]),
            "DELETE stats": lambda _: self._new_traffic(),
        }

    def set(self, name: str, value: Any) -> None:  # noqa: ANN401 - JSON
        """`insert_seconds`, `database_down`, and `stale_lock`: seconds from now, 0 frees the lock."""
        if name not in SETTINGS:
            super().set(name, value)
        elif name == "stale_lock":
            self._locked_until = time.monotonic() + float(value)
        elif name == "database_down":
            self.database_down = bool(value)
        else:
            self.insert_seconds = float(value)

    def stats(self) -> dict[str, Any]:
        """How busy it was with inserts, and what every service counts."""
        return {**super().stats(), **self.traffic.show(), "samples": len(self.samples.by_guid)}

    def name_of(self, request: RawRequest) -> str:
        """The guid that a request is about."""
        if request.method == "POST":
            return _text(_form(request).get("guid", b""))
        parts = request.path.removeprefix(self.prefix).removeprefix(API).split("/")
        return unquote(parts[0]) if len(parts) > 1 else ""

    def error(self, status: int, code: str, message: str) -> Response:
        """An error as the server words it: a page of HTML for 500, else a JSON string."""
        return _page(status, message) if status == 500 else _answer(status, f"{code}: {message}")

    def answered(self, request: RawRequest, response: Response) -> None:
        """Write the request into the log."""
        request.name = request.name or self.name_of(request)
        super().answered(request, response)

    def answer(self, request: RawRequest) -> Response | Awaitable[Response]:
        """The answer to one request; a running insert continues when its client disconnects."""
        if self.authorization and request.headers.get("authorization") != self.authorization:
            response = Response(401, b"Unauthorized", {"www-authenticate": 'Basic realm="sandbox"'})
            response.close = True
            return response
        path = unquote(request.path)
        if not path.startswith(self.prefix + API):
            return _not_found()
        what = path.removeprefix(self.prefix + API)
        if what == "insert":
            return self._insert(request) if request.method == "POST" else _page(405, "Method Not Allowed")
        return self._read(what) if request.method in {"GET", "HEAD"} else _page(405, "Method Not Allowed")

    def _read(self, what: str) -> Response:
        now = dt.datetime.now().isoformat()  # noqa: DTZ005 - the real server's time has no zone
        match what.split("/"):
            case ["server_time"]:
                return _answer(200, {"server_name": "SANDBOX", "server_time": now})
            case ["server_name"]:
                return _answer(200, {"server_name": "SANDBOX", "server_description": "A stand-in, not the real server"})
            case ["snpceiling"]:
                return _answer(200, {"snpceiling": 20})
        if self.database_down:
            return _page(500, DATABASE_DOWN)
        match what.split("/"):
            case ["guids"]:
                return _answer(200, list(self.samples.by_guid))
            case ["guids_added_after_sample", guid]:
                after = self.samples.after(guid)
                return _page(404, f"Sample {guid} does not exist") if after is None else _answer(200, after)
            case [guid, "exists"]:
                return _answer(200, guid in self.samples.by_guid)
            case [guid, ("valid" | "annotation") as question]:
                return self._describe(guid, question)
        return _not_found()

    def _describe(self, guid: str, question: str) -> Response:
        sample = self.samples.by_guid.get(guid)
        if question == "valid":
            return _answer(200, -1 if sample is None else int(not sample.valid))
        if sample is None:
            return _not_found()
        quality = {"invalid": int(not sample.valid), "length": sample.length, "examinationDate": sample.added}
        return _answer(200, {"guid": guid, "DNAQuality": quality})

    def _insert(self, request: RawRequest) -> Response | Awaitable[Response]:
        form = _form(request)
        guid = request.name = _text(form.get("guid", b""))
        number = self.traffic.begin(guid, request.started)
        refusal = self._refusal(form, guid)
        if refusal:
            return self._ended(guid, number, refusal)
        if not self.insert_seconds:
            return self._ended(guid, number, self._store(guid, form["seq"]))
        self._locked = True
        task = asyncio.ensure_future(self._store_later(guid, form["seq"], number, request.received))
        self.background.add(task)
        task.add_done_callback(self.background.discard)
        return asyncio.shield(task)

    def _refusal(self, form: dict[str, bytes], guid: str) -> Response | None:
        if "guid" not in form or "seq" not in form:
            return _answer(501, f"seq and guid are not present in the POSTed data {sorted(form)}")
        if self.database_down:
            return _page(500, DATABASE_DOWN)
        if len(guid) >= 60:
            return _answer(
                403, f"Supplied sample identifier is unacceptable: {guid} must have fewer than 60 characters"
            )
        if guid in self.samples.by_guid:
            return _answer(201, f"Guid {guid} is already present")
        try:
            check_sequence(form["seq"], self.reference_length)
        except SequenceError as error:
            return _page(500, str(error))
        if self._locked or time.monotonic() < self._locked_until:
            return _answer(409, LOCKED)
        return None

    async def _store_later(self, guid: str, sequence: bytes, number: int, received: float) -> Response:
        try:
            await asyncio.sleep(max(0.0, received + self.insert_seconds - time.monotonic()))
            response = self._store(guid, sequence)
        finally:
            self._locked = False
        return self._ended(guid, number, response)

    def _store(self, guid: str, sequence: bytes) -> Response:
        if self.database_down:
            return _page(500, DATABASE_DOWN)
        self.samples.add(guid, StoredSample(sequence))
        if guid in {"", ".", ".."} or _BREAKS_LINKS.search(guid):
            return _answer(503, f"Error raised on persisting {guid}: {_composition(sequence)}")
        return _answer(200, f"Guid {guid} inserted.")

    def _ended(self, guid: str, number: int, response: Response) -> Response:
        self.traffic.end(guid, number, response.status)
        return response

    def _new_traffic(self) -> None:
        self.traffic = Traffic()

    def _add_sample(self, request: RawRequest) -> None:
        data = json.loads(request.body)
        self.samples.add(data["guid"], StoredSample(data["seq"].encode()))

    def _show_samples(self) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        for guid in [*self.samples.by_guid, *sorted(self.traffic.by_guid.keys() - self.samples.by_guid.keys())]:
            sample = self.samples.by_guid.get(guid)
            answers = self.traffic.by_guid.get(guid, [])
            facts = sample.show() if sample else {"sha256": None, "length": None, "valid": None, "added": None}
            shown[guid] = {**facts, "calls": len(answers), "answers": answers}
        return shown


def _form(request: RawRequest) -> dict[str, bytes]:
    """The fields of a urlencoded body as Flask sees them; none for any other kind of body."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded" or "content-encoding" in request.headers:
        return {}
    form: dict[str, bytes] = {}
    body, at = request.body, 0
    while at < len(body):
        end = body.find(b"&", at)
        end = len(body) if end < 0 else end
        equals = body.find(b"=", at, end)
        if equals >= 0:
            name = unquote(body[at:equals].decode("latin-1"))
            # One copy, and no more: sequences have millions of letters.
            form.setdefault(name, _plain(bytes(memoryview(body)[equals + 1 : end])))
        at = end + 1
    return form


def _plain(value: bytes) -> bytes:
    value = value.replace(b"+", b" ") if b"+" in value else value
    return unquote_to_bytes(value) if b"%" in value else value


def _text(value: bytes) -> str:
    return value.decode(errors="replace")


def _composition(sequence: bytes) -> dict[str, list[int]]:
    """What the real server appends to a 503: positions by letter (here of the first letters only)."""
    head = sequence[:50].decode("latin-1").upper()
    return {letter: [at for at, other in enumerate(head) if other == letter] for letter in sorted(set(head))}


def _answer(status: int, data: Any) -> Response:  # noqa: ANN401 - JSON
    response = Response(status, json.dumps(data).encode(), {"content-type": "text/html; charset=utf-8"})
    response.close = True
    return response


def _page(status: int, text: str) -> Response:
    title = {404: "Not Found", 405: "Method Not Allowed"}.get(status, "Internal Server Error")
    lines = ["<!doctype html>", "<html lang=en>", f"<title>{status} {title}</title>", f"<h1>{title}</h1>"]
    body = "\n".join([*lines, f"<p>{html.escape(text)}</p>", ""])
    response = Response(status, body.encode(), {"content-type": "text/html; charset=utf-8"})
    response.close = True
    return response


def _not_found() -> Response:
    return _answer(404, {"error": "Not found (custom error handler for mis-routing)"})


def main(arguments: list[str]) -> int:
    """Run the stand-in from the command line."""
    parser = argparse.ArgumentParser(prog="python -m sandbox fn4", description=f"{__doc__} For tests and demos only.")
    add_arguments(parser)
    parser.add_argument("--reference-length", type=int, default=29903, help="letters of a sequence (%(default)s)")
    parser.add_argument("--insert-seconds", type=float, default=0.0, help="how long an insert takes (%(default)s)")
    parser.add_argument(
        "--stale-lock", type=float, default=0.0, help="seconds for which the lock of a crashed insert remains"
    )
    parser.add_argument("--store", type=Path, help="file in which samples survive a killed server")
    parser.add_argument("--auth", metavar="USER:PASSWORD", help="require basic authentication, as a proxy does")
    parser.add_argument("--prefix", default="", help="a path before /api/v2, as behind a proxy")
    options = parser.parse_args(arguments)
    service = Fn4(options.reference_length, SampleStore(options.store))
    service.insert_seconds = options.insert_seconds
    service.set("stale_lock", options.stale_lock)
    service.prefix = options.prefix.rstrip("/")
    if options.auth:
        service.authorization = "Basic " + base64.b64encode(options.auth.encode()).decode()
    facts = {"reference_length": options.reference_length, "prefix": service.prefix}
    return run(service, options.port, follow_stdin=options.follow_stdin, facts=facts)
