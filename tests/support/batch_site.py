"""What tests of batches share: a site with a real S3 server, and a proxy that acts between two listings.

To use it: `pytest_plugins = ["tests.support.batch_site"]`.
"""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from batches.keys import digest, encode
from sandbox.s3 import S3Sandbox
from tests.support.site import POSTGRES, Manage

PATH = "/collectionobjects"


class Between:
    """A proxy before the real S3 server: calls `before_listing(n)` before it passes on the n-th listing, from 0.

    It writes down what was listed and the keys that were put, in their order. What `before_put(key)` returns is answered
    instead: a status, or -1 for nothing at all.
    """

    def __init__(self, upstream: str) -> None:
        self.upstream = urlsplit(upstream).netloc
        self.listings = 0
        self.listed: list[str] = []
        self.puts: list[str] = []
        self.before_listing: Callable[[int], None] = lambda _number: None
        self.before_put: Callable[[str], int | None] = lambda _key: None
        between = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Head and body of an answer go out in two writes, which would wait for each other.
            disable_nagle_algorithm = True
            wbufsize = -1

            def do(self) -> None:
                between.pass_on(self)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = do  # noqa: N815 - http.server's names

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            # A client that was killed is no news.
            def handle_error(self, *_: object) -> None:
                pass

        self._server = Server(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._lock = threading.Lock()
        self._thread.start()

    def reset(self) -> None:
        """Forgets listings, puts and what was to be done."""
        self.listings, self.listed, self.puts = 0, [], []
        self.before_listing, self.before_put = lambda _number: None, lambda _key: None

    def close(self) -> None:
        """Ends it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def pass_on(self, request: BaseHTTPRequestHandler) -> None:
        """One exchange; the Host header goes on unchanged, so that the signature stays right."""
        body = request.rfile.read(int(request.headers.get("content-length", 0)))
        if request.command == "GET" and "list-type=2" in request.path:
            number, self.listings = self.listings, self.listings + 1
            self.listed.append(request.path)
            self.before_listing(number)
        if request.command == "PUT":
            key = unquote(request.path.partition("?")[0].rpartition("/")[2])
            refused = self.before_put(key)
            if refused:
                return self._refuse(request, refused)
            with self._lock:
                self.puts.append(key)
        upstream = http.client.HTTPConnection(self.upstream, timeout=30)
        try:
            upstream.putrequest(request.command, request.path, skip_host=True, skip_accept_encoding=True)
            for name, value in request.headers.items():
                upstream.putheader(name, value)
            upstream.endheaders(body)
            self._answer(request, upstream.getresponse())
        finally:
            upstream.close()
        return None

    def _refuse(self, request: BaseHTTPRequestHandler, status: int) -> None:
        if status < 0:
            # Nobody answers: the connection ends.
            request.close_connection = True
            return
        text = b"<Error><Code>AccessDenied</Code><Message>told so by the test</Message></Error>"
        request.send_response(status)
        request.send_header("content-length", str(len(text)))
        request.end_headers()
        request.wfile.write(text)

    def _answer(self, request: BaseHTTPRequestHandler, response: http.client.HTTPResponse) -> None:
        content = response.read()
        request.send_response(response.status)
        for name, value in response.getheaders():
            if name.lower() not in {"content-length", "transfer-encoding", "connection", "server", "date"}:
                request.send_header(name, value)
        request.send_header("content-length", str(len(content)))
        request.end_headers()
        request.wfile.write(content)


@dataclass
class BatchSite:
    """manage.py on a database of its own, with BATCH_STORE_URL a fresh bucket behind the proxy."""

    manage: Manage
    s3: S3Sandbox
    bucket: str
    between: Between
    folder: Path

    def __call__(self, *words: str, **environment: str) -> CompletedProcess[str]:
        """Runs `manage.py words…` to its end."""
        return self.manage(*words, **environment)

    def ingstat(self, *words: str, **environment: str) -> CompletedProcess[str]:
        """`ingstat` with next to no sleep."""
        return self("ingstat", "--sleep", "0.01", *words, **environment)

    def seed(self, **identifiers: Sequence[str]) -> None:
        """Batches that are uploaded, by id, with these records; their objects are in the bucket.

        Written straight into the tables, because a process more in every test would take as long as all the rest.
        """
        objects: dict[str, bytes] = {}
        for bid, some in identifiers.items():
            ((batch,),) = self._insert("batches_batch", [_uploaded(bid, len(some), self.url)])
            keys = [self.key(bid, one) for one in some]
            records = zip(some, keys, strict=True)
            self._insert("batches_batchrecord", [_record(batch, row, *one) for row, one in enumerate(records, 1)])
            objects |= dict.fromkeys(keys, b"<xml/>")
        self.s3.put_many(self.bucket, objects)

    def _insert(self, table: str, rows: list[dict[str, Any]]) -> list[tuple[object, ...]]:
        names = ", ".join(f'"{name}"' for name in rows[0])
        marks = ", ".join(["(" + ", ".join(["%s"] * len(rows[0])) + ")"] * len(rows))
        values = [value for row in rows for value in row.values()]
        return self.manage.rows(f"insert into {table} ({names}) values {marks} returning id", *values)

    @staticmethod
    def key(bid: str, identifier: str, action: str = "CREATE") -> str:
        """The key of a record."""
        return encode(bid, PATH, identifier, action)

    @property
    def url(self) -> str:
        """Where batches go."""
        return f"s3://{self.bucket}"

    def delete(self, *keys: str) -> None:
        """Takes objects out of the bucket, past the proxy."""
        self.s3.delete(self.bucket, *keys)

    def batch(self, bid: str) -> dict[str, Any]:
        """What the tables say of a batch, its `outcomes` by step, and the identifiers that are `uncertain`."""
        names = _COLUMNS.split()
        (row,) = self.manage.rows(f"select {', '.join(names)} from batches_batch where bid = %s", bid)
        facts: dict[str, Any] = dict(zip(names, row, strict=True))
        facts["outcomes"] = {step: self._outcomes(bid, f"{step}_outcome") for step in ("upload", "ingest")}
        uncertain = self.manage.rows(f"select identifier {_RECORDS} and upload_outcome = 'uncertain'", bid)
        facts["uncertain"] = [one for (one,) in uncertain]
        return facts

    def _outcomes(self, bid: str, column: str) -> dict[str, int]:
        found = self.manage.rows(f"select {column}, count(*) {_RECORDS} and {column} is not null group by 1", bid)
        return {str(outcome): int(str(number)) for outcome, number in found}

    def checks(self) -> int:
        """How many checks ended with a verdict, of all batches."""
        return int(str(self.manage.rows("select count(*) from batches_ingestcheck where verdict is not null")[0][0]))

    def files(self, name: str, number: int, start: int = 1) -> Path:
        """A folder with so many files to upload."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        for n in range(start, start + number):
            (folder / f"A.{n:05}.xml").write_text(f"<record n='{n}'/>")
        return folder


_COLUMNS = """status store_url upload_started upload_finished upload_oks upload_errs map_oks map_errs map_warns
ingest_start_time ingest_done_at ingest_complete_time ingest_oks ingest_errs"""
_RECORDS = "from batches_batchrecord where batch_id = (select id from batches_batch where bid = %s)"


def _stored(when: datetime) -> datetime | str:
    """A time as Django writes it."""
    return when if POSTGRES else str(when.replace(tzinfo=None))


def _uploaded(bid: str, records: int, url: str) -> dict[str, Any]:
    ago = _stored(datetime.now(UTC) - timedelta(hours=30))
    times = dict.fromkeys(("added_at", "uploaded_at", "upload_started", "ingest_start_time"), ago)
    # Its objects are put now: the upload took long.
    times["upload_finished"] = _stored(datetime.now(UTC))
    counts = {"record_count": records, "upload_runs": 1, "upload_oks": records, "upload_errs": 0}
    texts = {"status": "uploaded", "rectype": "collectionobject", "action": "CREATE", "notes": "", "store_url": url}
    return {"bid": bid, "source_columns": '["identifier"]', **texts, **counts, **times}


def _record(batch: object, row: int, identifier: str, key: str) -> dict[str, Any]:
    return {
        "batch_id": batch,
        "row": row,
        "key": key,
        "key_digest": digest(key),
        "identifier": identifier,
        "action": "CREATE",
        "path": PATH,
        "upload_outcome": "success",
        "source": f'["{identifier}"]',
    }


@pytest.fixture(scope="session")
def between_process(s3: S3Sandbox) -> Iterator[Between]:
    """Take `site`."""
    proxy = Between(s3.endpoint)
    yield proxy
    proxy.close()


@pytest.fixture
def site(manage: Manage, s3: S3Sandbox, bucket: str, between_process: Between, tmp_path: Path) -> Iterator[BatchSite]:
    """A site whose batches go to a real S3 server. Whatever was done and killed there: its sheets add up, or say why not."""
    between_process.reset()
    manage.environment |= s3.environ(between_process.endpoint) | {"BATCH_STORE_URL": f"s3://{bucket}"}
    yield BatchSite(manage, s3, bucket, between_process, tmp_path)
    summary = manage("batch", "summary", "--json")
    for sheet in json.loads(summary.stdout)["batches"]:
        assert all(difference["reason"] for difference in sheet["differences"]), sheet
