"""A stand-in of the ingest Lambda of the fast import bucket: ingests and deletes each object, and leaves failures there.

It appends what it ingested to a file, so that a test can prove that nothing was put, and ingested, twice. It creates no records.
"""

import argparse
import base64
import binascii
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple, Self

from objectstores import Store, StoredObject, StoreError, open_store
from sandbox.lambdalog import SPELLINGS, TRACES, LambdaLog
from sandbox.process import Child, Stop, announce, start

POLL_SECONDS = 0.2
"""Seconds between two listings of a bucket with nothing new."""
GROUP_SECONDS = 0.05


class Ingested(NamedTuple):
    """One line of the log: an object that was ingested, or (`ok` false) failed for good."""

    key: str
    etag: str
    ok: bool
    time: float
    """Seconds since the epoch."""


def ingested(log: Path) -> list[Ingested]:
    """What a log holds, in the order in which it happened; a last line that is cut off is left out."""
    lines = log.read_text().splitlines(keepends=True) if log.exists() else []
    return [Ingested(**json.loads(line)) for line in lines if line.endswith("\n")]


class Ingest:
    """The process, as a context manager, on a bucket of `environ`'s S3 (`S3Sandbox.environ()`).

    `rate`: objects a second. `fail_every`: every N-th object fails. `fail_identifiers`: a file of identifiers,
    one a line, whose records fail. `prefix`: only keys that begin so. `log`: see `ingested`. `log_group`: of CloudWatch
    Logs (`environ` says where), to which it writes what the Lambda does, in a `log_spelling` and with a `log_trace` of
    `sandbox.lambdalog`.
    """

    def __init__(
        self,
        environ: dict[str, str],
        bucket: str,
        *,
        rate: float = 100,
        fail_every: int = 0,
        fail_identifiers: Path | None = None,
        prefix: str = "",
        log: Path | None = None,
        log_group: str = "",
        log_spelling: str = "text",
        log_trace: str = "none",
    ) -> None:
        self.environ = environ
        self.arguments = ["ingest", "--bucket", bucket, "--rate", str(rate), "--fail-every", str(fail_every)]
        self.arguments += ["--prefix", prefix] if prefix else []
        self.arguments += ["--fail-identifiers", str(fail_identifiers)] if fail_identifiers else []
        self.arguments += ["--log", str(log)] if log else []
        self.arguments += ["--log-group", log_group] if log_group else []
        self.arguments += ["--log-spelling", log_spelling, "--log-trace", log_trace]
        self.child: Child | None = None

    def __enter__(self) -> Self:
        self.child = start(self.arguments, env=self.environ)
        return self

    def __exit__(self, *_: object) -> None:
        if self.child:
            self.child.stop()


def main(arguments: list[str]) -> int:
    """Ingest until stopped; 1 if the bucket is not available at the start."""
    options = _parser().parse_args(arguments)
    stop = Stop(follow_stdin=options.follow_stdin)
    environ = dict(os.environ)
    if options.endpoint:
        environ["AWS_ENDPOINT_URL_S3"] = options.endpoint
    try:
        store = open_store(f"s3://{options.bucket}", environ)
        next(iter(store.list(options.prefix)), None)
    except StoreError as error:
        print(error, file=sys.stderr)
        return 1
    announce("the ingest Lambda", environ.get("AWS_ENDPOINT_URL_S3", ""), bucket=options.bucket)
    _run(store, options, _failure_rule(options), stop)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox ingest", description=__doc__)
    parser.add_argument("--endpoint", help="the S3 server (default: AWS_ENDPOINT_URL_S3); keys come from AWS_*")
    parser.add_argument("--bucket", required=True, help="the fast import bucket")
    parser.add_argument("--prefix", default="", help="only keys that begin so")
    parser.add_argument("--rate", type=float, default=100, help="objects a second (default: %(default)s)")
    parser.add_argument("--fail-every", type=int, default=0, metavar="N", help="every N-th object fails and stays")
    parser.add_argument("--fail-identifiers", type=Path, metavar="FILE", help="identifiers of records that fail")
    parser.add_argument("--log", type=Path, metavar="FILE", help="a line of JSON for each object that was ingested")
    parser.add_argument(
        "--log-group", default="", help="log group of CloudWatch Logs (AWS_ENDPOINT_URL_LOGS) to write to"
    )
    parser.add_argument("--log-spelling", choices=SPELLINGS, default="text", help="of the lines in that log")
    parser.add_argument("--log-trace", choices=TRACES, default="none", help="how that log has tracebacks")
    parser.add_argument("--follow-stdin", action="store_true", help="end when stdin ends, that is with the parent")
    return parser


def _failure_rule(options: argparse.Namespace) -> Callable[[StoredObject], bool]:
    """A function that decides, once for each object, whether it fails."""
    named = set(options.fail_identifiers.read_text().splitlines()) if options.fail_identifiers else set()
    seen = 0

    def fails(one: StoredObject) -> bool:
        nonlocal seen
        seen += 1
        return (options.fail_every > 0 and seen % options.fail_every == 0) or _identifier(one.name) in named

    return fails


def _identifier(key: str) -> str:
    """The identifier in a key (domain.md 1); empty for an invalid key."""
    try:
        parts = base64.urlsafe_b64decode(key).decode().split("|")
    except (binascii.Error, ValueError):
        return ""
    return "|".join(parts[2:-1])


def _run(store: Store, options: argparse.Namespace, fails: Callable[[StoredObject], bool], stop: Stop) -> None:
    failed: set[tuple[str, str]] = set()
    lambda_log = None
    if options.log_group:
        lambda_log = LambdaLog(options.log_group, options.log_spelling, options.log_trace)
    with _IngestedFile(options.log) as log:
        for some in _groups_at_rate(_new_objects(store, options.prefix, failed, stop), options.rate, stop):
            broken = [one for one in some if fails(one)]
            failed |= {(one.name, one.etag) for one in broken}
            # As the Lambda does: first the record is created, then its object is deleted.
            log.write(some, broken)
            if lambda_log:
                lambda_log.write([(one.name, one in broken) for one in some])
            _delete(store, [one.name for one in some if one not in broken], stop)


def _delete(store: Store, names: list[str], stop: Stop) -> None:
    """Retried until it succeeds: objects that are listed again would be ingested again."""
    while names and not stop.is_set():
        try:
            store.delete(names)
        except StoreError as error:
            print(error, file=sys.stderr)
            stop.wait(POLL_SECONDS)
        else:
            return


def _new_objects(store: Store, prefix: str, failed: set[tuple[str, str]], stop: Stop) -> Iterator[StoredObject | None]:
    """New objects of the bucket, listing after listing; None after the last one of each."""
    while True:
        try:
            for one in list(store.list(prefix)):
                if (one.name, one.etag) not in failed:
                    yield one
        except StoreError as error:
            print(error, file=sys.stderr)
        yield None
        if stop.wait(POLL_SECONDS):
            return


def _groups_at_rate(objects: Iterator[StoredObject | None], rate: float, stop: Stop) -> Iterator[list[StoredObject]]:
    """The objects in small groups, no more than `rate` a second; until stopped."""
    started, done = time.monotonic(), 0
    group: list[StoredObject] = []
    for one in objects:
        if one:
            group.append(one)
        if group and (one is None or len(group) >= max(1, rate * GROUP_SECONDS)):
            done += len(group)
            yield group
            group = []
            if stop.wait(max(0.0, started + done / rate - time.monotonic())):
                return
        elif one is None:
            # Idle time does not count towards the rate.
            started, done = time.monotonic(), 0


class _IngestedFile:
    def __init__(self, path: Path | None) -> None:
        self._file = path.open("a", encoding="utf-8") if path else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()

    def write(self, objects: list[StoredObject], broken: list[StoredObject]) -> None:
        """One line an object, in the file before anything is deleted."""
        if self._file:
            now = time.time()
            lines = [Ingested(one.name, one.etag, one not in broken, now)._asdict() for one in objects]
            self._file.write("".join(json.dumps(line) + "\n" for line in lines))
            self._file.flush()
