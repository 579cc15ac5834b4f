"""A bucket of synthetic objects whose listing is answered from memory, to measure clients (`python -m bench.pages`).

Every entry has the same length, so that a page is one slice. It checks no signature and supports only ListObjectsV2.
"""

from __future__ import annotations

import argparse
import re
import socketserver
import sys
import threading
import time
from bisect import bisect_right
from urllib.parse import parse_qs, urlsplit

from batches.keys import encode

BATCH = "plc"
PAGE_SIZE = 1000
_LENGTH = re.compile(rb"(?i)content-length: *(\d+)")


def identifier(number: int) -> str:
    """Identifier of a record; all have the same length."""
    return f"A{number // 1000:04}.{number % 1000:03}"


def key(number: int) -> str:
    """The key of a record."""
    return encode(BATCH, "/collectionobjects", identifier(number), "CREATE")


def keys(number: int) -> list[str]:
    """The keys of records 1 to `number`, in byte order."""
    return sorted(map(key, range(1, number + 1)))


class SyntheticBucket:
    """Its pages, as Amazon writes them."""

    def __init__(self, number: int, seconds: float) -> None:
        self.keys = keys(number)
        self.seconds = seconds
        entries = [
            f"<Contents><Key>{key.replace('=', '%3D')}</Key><LastModified>2026-01-01T12:00:00.000Z</LastModified>"
            "<ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag><Size>2000</Size>"
            "<StorageClass>STANDARD</StorageClass></Contents>".encode()
            for key in self.keys
        ]
        self._length = len(entries[0])
        assert all(len(entry) == self._length for entry in entries)
        self._entries = memoryview(b"".join(entries))

    def page(self, query: dict[str, list[str]]) -> list[bytes | memoryview]:
        """The body of the answer, in pieces."""
        time.sleep(self.seconds)
        here = 0
        if token := query.get("continuation-token"):
            here = int(token[0])
        elif after := query.get("start-after"):
            here = bisect_right(self.keys, after[0])
        matches = self.keys[0].startswith(query.get("prefix", [""])[0])
        count = min(PAGE_SIZE, len(self.keys) - here) if matches else 0
        more = matches and here + count < len(self.keys)
        head = (
            '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<Name>bucket</Name><KeyCount>{count}</KeyCount><MaxKeys>{PAGE_SIZE}</MaxKeys><EncodingType>url</EncodingType>"
            f"<IsTruncated>{str(more).lower()}</IsTruncated>"
            + (f"<NextContinuationToken>{here + count}</NextContinuationToken>" if more else "")
        )
        some = self._entries[here * self._length : (here + count) * self._length]
        return [head.encode(), some, b"</ListBucketResult>"]


class ListingHandler(socketserver.StreamRequestHandler):
    """One connection, kept."""

    disable_nagle_algorithm = True

    def handle(self) -> None:
        """Answers until the client disconnects."""
        while line := self.rfile.readline():
            while self.rfile.readline() not in (b"\r\n", b""):
                pass
            bucket = self.server.bucket  # type: ignore[attr-defined]
            body = bucket.page(parse_qs(urlsplit(line.split()[1].decode()).query))
            if line.startswith(b"HEAD"):
                body = []
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: {sum(map(len, body))}\r\n\r\n"
            self.request.sendmsg([head.encode()] if not body else [head.encode(), body[0]])
            for piece in body[1:]:
                self.request.sendall(piece)


class ListingServer(socketserver.ThreadingTCPServer):
    """On 127.0.0.1 and a free port."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, bucket: SyntheticBucket) -> None:
        super().__init__(("127.0.0.1", 0), ListingHandler)
        self.bucket = bucket


def main() -> None:
    """Prints its endpoint, and serves until stdin ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("number", type=int)
    parser.add_argument("--seconds", type=float, default=0.0, help="delay of a page")
    options = parser.parse_args()
    with ListingServer(SyntheticBucket(options.number, options.seconds)) as server:
        print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sys.stdin.read()


if __name__ == "__main__":
    main()
