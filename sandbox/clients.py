"""The stand-ins as tests, the demo and benchmarks use them: start one, put things in, make it fail, ask what it saw."""

import base64
import http.client
import json
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlencode, urlsplit

from sandbox.process import Child, start

SEED_BYTES = 16 * 1024 * 1024


class ControlCallError(Exception):
    """A stand-in refused a control call, for the reason in the text."""


class Sandbox:
    """A running stand-in, as a context manager. Its faults, log and settings are reached by unsigned control calls."""

    def __init__(self, arguments: list[str]) -> None:
        self.arguments = arguments
        self.child: Child | None = None

    @property
    def running(self) -> Child:
        """Its process; an error when it is not started."""
        if self.child is None:
            raise RuntimeError("the stand-in is not started")
        return self.child

    @property
    def endpoint(self) -> str:
        """Where it answers, `http://127.0.0.1:PORT`."""
        return self.running.endpoint

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.running.pid

    def start(self) -> Self:
        """Start it; later starts use the same port."""
        fixed = ["--port", str(urlsplit(self.child.endpoint).port)] if self.child else []
        self.child = start([*self.arguments, *fixed])
        return self

    def stop(self) -> None:
        """Stop it."""
        self.running.stop()

    def kill(self) -> None:
        """Kill it as a crash would; `start` brings it back at the same port, without what it held in memory."""
        self.running.kill()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def call(self, verb: str, what: str, data: object = None, **query: str) -> Any:  # noqa: ANN401 - JSON
        """One control call, `/sandbox/WHAT`; returns its JSON. ControlCallError when it is refused."""
        where = urlsplit(self.endpoint)
        connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=30)
        try:
            body = None if data is None else json.dumps(data).encode()
            connection.request(verb, f"/sandbox/{what}" + (f"?{urlencode(query)}" if query else ""), body)
            response = connection.getresponse()
            answer = json.loads(response.read())
        finally:
            connection.close()
        if response.status != 200:
            raise ControlCallError(f"{verb} {what}: {answer}")
        return answer

    def faults(self, *rules: Mapping[str, Any]) -> None:
        """Add rules of faults (fields: `sandbox.faults.Rule`), for example `{"kind": "status", "status": 503}`."""
        self.call("POST", "faults", list(rules))

    def clear_faults(self) -> None:
        """Remove all rules."""
        self.call("DELETE", "faults")

    def set(self, **settings: object) -> None:
        """Change settings while it runs."""
        self.call("POST", "set", settings)

    def stats(self) -> dict[str, Any]:
        """Its numbers, with the CPU seconds that it has used."""
        answer: dict[str, Any] = self.call("GET", "stats")
        return answer

    def log(self, method: str = "", path_prefix: str = "") -> list[dict[str, Any]]:
        """The requests that it answered: method, target, name, status (0: reset, 499: client gone), started, ended."""
        answer = self.call("GET", "log", method=method, path_prefix=path_prefix)
        self._check_complete(answer)
        requests: list[dict[str, Any]] = answer["requests"]
        return requests

    def requests(self, method: str = "", path_prefix: str = "") -> int:
        """How many requests it answered, of a method, whose decoded path begins so."""
        answer = self.call("GET", "log", method=method, path_prefix=path_prefix, count="1")
        self._check_complete(answer)
        return int(answer["count"])

    def clear_log(self) -> None:
        """Forget the requests so far."""
        self.call("DELETE", "log")

    def _check_complete(self, answer: dict[str, Any]) -> None:
        if not answer["complete"]:
            raise ControlCallError("the log has dropped its oldest requests: clear it more often")


class OciSandbox(Sandbox):
    """OCI Object Storage, with the buckets that are named and a configuration of the SDK.

    Killed and started again it has the same keys, and empty buckets.
    """

    def __init__(self, *buckets: str, namespace: str = "sandboxns", read_delay: float = 0.0) -> None:
        folder = tempfile.mkdtemp(prefix="sandbox-oci-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        arguments = ["oci", "--namespace", namespace, "--read-delay", str(read_delay), "--folder", folder]
        super().__init__(arguments + [part for bucket in buckets for part in ("--bucket", bucket)])
        self.namespace = namespace

    @property
    def config_file(self) -> str:
        """A configuration of the SDK with the profiles DEFAULT (API key) and TOKEN (security token)."""
        return str(self.running.ready["config_file"])

    def environ(self) -> dict[str, str]:
        """The variables that point fnloader at it."""
        return {
            "OCI_AUTH": "config_file",
            "OCI_CONFIG_FILE": self.config_file,
            "OCI_CONFIG_PROFILE": "DEFAULT",
            "OCI_ENDPOINT": self.endpoint,
        }

    def url(self, bucket: str) -> str:
        """The store URL of a bucket."""
        return f"oci://{bucket}@{self.namespace}"

    def object_path(self, bucket: str, name: str = "") -> str:
        """The path of an object in the API, percent-encoded."""
        return f"/n/{self.namespace}/b/{bucket}/o" + (f"/{quote(name, safe='')}" if name else "")

    def add_bucket(self, bucket: str, synthetic: int = 0) -> None:
        """Add a bucket; with `synthetic` it holds that number of computed objects, and replaces one of the same name."""
        if synthetic:
            self.call("POST", "objects", {"bucket": bucket, "synthetic": synthetic})
        else:
            self.call("POST", "buckets", {"bucket": bucket})

    def remove_bucket(self, bucket: str) -> None:
        """Remove a bucket with all that is in it."""
        self.call("DELETE", "buckets", bucket=bucket)

    def put(self, bucket: str, name: str, content: bytes, **item: object) -> None:
        """Put an object: `created` (RFC 3339), `md5` (None: has none), `parts` (uploaded in so many), `etag`, `archived`."""
        self._seed(bucket, [_item(name, content, item)])

    def put_many(self, bucket: str, objects: Mapping[str, bytes], **item: object) -> None:
        """Put many objects, quickly."""
        for chunk in _chunks(objects):
            self._seed(bucket, [_item(name, content, item) for name, content in chunk])

    def get(self, bucket: str, name: str) -> bytes:
        """The content of an object; ControlCallError when there is none."""
        return base64.b64decode(self.call("GET", "objects", bucket=bucket, name=name)["base64"])

    def delete(self, bucket: str, name: str) -> bool:
        """Delete an object; whether there was one."""
        return bool(self.call("DELETE", "objects", bucket=bucket, name=name))

    def count(self, bucket: str) -> int:
        """How many objects a bucket holds."""
        return int(self.stats()["objects"][bucket])

    def _seed(self, bucket: str, items: list[dict[str, object]]) -> None:
        self.call("POST", "objects", {"bucket": bucket, "objects": items})


class Fn4Sandbox(Sandbox):
    """findNeighbour4; the options are those of `python -m sandbox fn4 --help`."""

    def __init__(
        self,
        reference_length: int,
        *,
        insert_seconds: float = 0.0,
        store: str | None = None,
        auth: str | None = None,
        prefix: str = "",
        stale_lock: float = 0.0,
        lock_manager: bool = True,
        lock_seconds: float = 120.0,
        engine_build: str = "new",
        workers: int = 0,
        worker_timeout: float = 150.0,
    ) -> None:
        arguments = ["fn4", "--reference-length", str(reference_length), "--insert-seconds", str(insert_seconds)]
        arguments += ["--lock-seconds", str(lock_seconds), "--engine-build", engine_build]
        arguments += [] if lock_manager else ["--no-lock-manager"]
        arguments += ["--workers", str(workers), "--worker-timeout", str(worker_timeout)]
        arguments += ["--store", store] if store else []
        arguments += ["--auth", auth] if auth else []
        arguments += ["--prefix", prefix] if prefix else []
        arguments += ["--stale-lock", str(stale_lock)] if stale_lock else []
        super().__init__(arguments)
        self.prefix = prefix

    @property
    def url(self) -> str:
        """The URL of the server, with its path prefix."""
        return self.endpoint + self.prefix

    def samples(self) -> dict[str, dict[str, Any]]:
        """What it was sent, by guid: `sha256`, `md5` (of the upper-cased letters), `length`, `valid`, `links` (false: its
        links are missing) and `added` of the stored sequence (None: not stored), and the `answers` to its insert `calls`,
        0 for one that is still running or got none.
        """
        answer: dict[str, dict[str, Any]] = self.call("GET", "samples")
        return answer

    def guids(self) -> list[str]:
        """The guids of the samples that are stored, in the order in which they came."""
        return [guid for guid, sample in self.samples().items() if sample["sha256"]]

    def insert(self, guid: str, sequence: str, *, links: bool = True) -> None:
        """Store a sample without the API, as another loader may have done; the stats do not count it as an insert.

        Without `links` it is as an insert leaves it during which the engine died.
        """
        self.call("POST", "samples", {"guid": guid, "seq": sequence, "links": links})

    def forget(self, guid: str) -> None:
        """Remove a sample, as a server does that was restored from an older backup."""
        self.call("DELETE", "samples", guid=guid)

    def emptied(self) -> None:
        """Remove all samples, as a server does that was set up again."""
        self.restored(0)

    def restored(self, count: int) -> None:
        """Remove all but the first samples, as a server does that was restored from an older backup."""
        self.call("DELETE", "samples", keep=str(count))

    def insert_seconds(self, seconds: float) -> None:
        """Set how long an insert takes."""
        self.set(insert_seconds=seconds)

    def database_down(self, *, down: bool = True) -> None:
        """Take its database down: only what needs no samples still answers, as `server_time`."""
        self.set(database_down=down)

    def read_only(self, *, on: bool = True) -> None:
        """Make its database read-only: inserts are 500, all else answers."""
        self.set(database_read_only=on)

    def engine_down(self, *, down: bool = True) -> None:
        """Take its engine down: inserts and `server_memory_usage` are 500, all else answers.

        Set up again, it is filled from the database; links that are missing stay missing.
        """
        self.set(engine_down=down)

    def engine_dies(self, count: int = 1) -> None:
        """The next inserts are 503, stored without links; after the last of them the engine is down."""
        self.set(engine_dies=count)

    def breaks_links(self, count: int = 1) -> None:
        """The next inserts are 503, stored without links; the engine continues."""
        self.set(breaks_links=count)

    def dies_before_links(self, count: int = 1) -> None:
        """The next inserts end in a reset connection, stored without links."""
        self.set(dies_before_links=count)

    def engine_build(self, build: str) -> None:
        """Which ids break links: `new` (jester 0.6 or newer) or `old`."""
        self.set(engine_build=build)

    def workers(self, count: int, timeout: float | None = None) -> None:
        """Set how many connections it serves at a time (0: all), and after how many seconds one is reset (None: as before)."""
        self.set(workers=count, **({} if timeout is None else {"worker_timeout": timeout}))

    def stuck_lock(self, *, on: bool = True) -> None:
        """A crash leaves the lock of inserts now; off: somebody drops it."""
        self.set(stuck_lock=on)

    def lock_manager(self, *, on: bool = True, seconds: float | None = None) -> None:
        """Whether the lock manager runs, and after which age it frees a lock that a crash left (None: as it was)."""
        self.set(lock_manager=on, **({} if seconds is None else {"lock_seconds": seconds}))


def _item(name: str, content: bytes, more: Mapping[str, object]) -> dict[str, object]:
    return {"name": name, "base64": base64.b64encode(content).decode(), **more}


def _chunks(objects: Mapping[str, bytes]) -> Iterator[list[tuple[str, bytes]]]:
    chunk: list[tuple[str, bytes]] = []
    size = 0
    for name, content in objects.items():
        chunk.append((name, content))
        size += len(content)
        if size > SEED_BYTES or len(chunk) >= 10_000:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
