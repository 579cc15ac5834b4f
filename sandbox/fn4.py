"""A stand-in of findNeighbour4, with the answers that were measured on a real server.

What still differs from it:

- The reference has a length and no letters. Links count positions at which two samples both have A C G T, and not the
  same; nothing is masked, and `nucleotides_excluded` is empty.
- A sequence is invalid with more than 30 % of N and `-`; the real limit is a setting. Lists of guids are in the order of inserts.
- The positions that a 503 appends are those of the first 50 letters, not the differences from a reference.
- The end of the 409's text is shorter. The text of a 403 after its first words, and of a failed database or engine, is made up.
- `server_memory_usage` shows the rows of its own calls, not those of inserts, and made-up sizes; no `html`, and with a
  read-only database it answers.
- An engine that is set up again is filled from the database, as a restart of the whole server fills it.
- Freeing a lock is exact to `lock_seconds`; the real lock manager looks once a minute.
- A row that a death left has its annotation. An insert that is killed with its worker leaves the lock, and no row.
- A waiting connection is accepted, and read up to its first bytes. `/sandbox/…` is answered without a worker.
- An insert of `a+b` fails also where the engine holds `a b`, whose links the real server would store for it.
- Of `/api/v2`, these are missing: clustering, alignments, `annotations`, `guids_with_quality_over`,
  `guids_beginning_with`, `monitor`, `reset`. So are the pages outside of it, and headers of CORS, `Server` and `Date`.
"""

import argparse
import asyncio
import base64
import json
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from sandbox.fn4_engine import BREAKS_LINKS, Condition, Damage, InsertLock
from sandbox.fn4_questions import Questions
from sandbox.fn4_wire import answer, died, not_found, page, read_form, text
from sandbox.http import RawRequest, Response
from sandbox.samples import SampleStore
from sandbox.sequences import SequenceError, check_sequence
from sandbox.service import Service, add_arguments, run
from sandbox.traffic import Traffic
from sandbox.workers import Workers

API = "/api/v2/"
LOCKED = (
    "A lock is in place preventing insertion.  This may arise because\n"
    "                (i) a separate process is inserting data; \n"
    "                in this case, retry later or \n"
    "                (ii) an error or crash left the lock."
)


class Fn4(Service):
    """The API over samples in memory.

    `insert_seconds` is how long an insert takes; while one runs, and while the lock is held for another reason, every
    other one gets 409. As in the real server, the lock comes last: an id that is already there, or a wrong sequence, is
    answered at once.
    """

    name = "fn4"

    def __init__(self, reference_length: int, samples: SampleStore) -> None:
        super().__init__()
        self.reference_length = reference_length
        self.samples = samples
        self.condition = Condition()
        self.lock = InsertLock()
        self.questions = Questions(samples, self.condition, reference_length)
        self.traffic = Traffic()
        self.admission = self.workers = Workers()
        self.insert_seconds = 0.0
        self._insert_task: tuple[RawRequest, asyncio.Future[Response]] | None = None
        self.authorization: str | None = None
        self.prefix = ""
        self.controls |= {
            "GET samples": lambda _: self._show_samples(),
            "POST samples": self._add_sample,
            "DELETE samples": self._remove_samples,
            "DELETE stats": lambda _: self._new_traffic(),
        }

    def set(self, name: str, value: Any) -> None:  # noqa: ANN401 - JSON
        """The attributes of `Condition`, `insert_seconds`, `workers` and `worker_timeout`, and the lock: `stale_lock`
        (seconds from now, 0 frees it), `stuck_lock`, `lock_manager`, `lock_seconds`.
        """
        match name:
            case "workers":
                self.workers.count = int(value)
            case "worker_timeout":
                self.workers.timeout = float(value)
            case "insert_seconds":
                self.insert_seconds = float(value)
            case "stale_lock":
                self.lock.stale(float(value))
            case "stuck_lock":
                self.lock.stuck(on=bool(value))
            case "lock_manager":
                self.lock.manager = bool(value)
            case "lock_seconds":
                self.lock.lock_seconds = float(value)
            case _ if name in vars(self.condition):
                self.condition.set(name, value)
                if name == "engine_down" and not value:
                    self.samples.start_engine()
            case _:
                super().set(name, value)

    def stats(self) -> dict[str, Any]:
        """How busy it was with inserts, what the samples lack, and what every service counts."""
        return {
            **super().stats(),
            **self.traffic.show(),
            "samples": len(self.samples.by_guid),
            "links_missing": self.samples.without_links(),
            "memory_questions": self.questions.memory_questions,
            "workers": self.workers.count,
            "workers_busy": self.workers.busy,
            "workers_killed": self.workers.killed,
            "connections_waiting": self.workers.waiting,
        }

    def name_of(self, request: RawRequest) -> str:
        """The guid that a request is about."""
        if request.method == "POST":
            return text(read_form(request).get("guid", b""))
        parts = request.path.removeprefix(self.prefix).removeprefix(API).split("/")
        return unquote(parts[0]) if len(parts) > 1 else ""

    def error(self, status: int, code: str, message: str) -> Response:
        """An error as the server words it: a page of HTML for 500, else a JSON string."""
        return page(status, message) if status == 500 else answer(status, f"{code}: {message}")

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
            return not_found()
        what = path.removeprefix(self.prefix + API)
        if what in {"insert", "mirror"}:
            if request.method != "POST":
                return page(405, "The method is not allowed for the requested URL.")
            return self._insert(request) if what == "insert" else _mirror(request)
        if request.method not in {"GET", "HEAD"}:
            return page(405, "The method is not allowed for the requested URL.")
        return self.questions.answer(what)

    def _insert(self, request: RawRequest) -> Response | Awaitable[Response]:
        form = read_form(request)
        guid = request.name = text(form.get("guid", b""))
        number = self.traffic.begin(guid, request.started)
        refusal = self._refusal(form, guid)
        if refusal:
            return self._ended(guid, number, refusal)
        if not self.insert_seconds:
            return self._ended(guid, number, self._store(guid, form["seq"]))
        self.lock.running = True
        task = asyncio.ensure_future(self._store_later(guid, form["seq"], number, request.received))
        self.background.add(task)
        task.add_done_callback(self.background.discard)
        self._insert_task = request, task
        return asyncio.shield(task)

    def killed(self, request: RawRequest) -> None:
        """An insert ends with its worker: nothing is stored, and the lock stays."""
        if self._insert_task and self._insert_task[0] is request and self._insert_task[1].cancel():
            self.lock.stuck(on=True)

    def _refusal(self, form: dict[str, bytes], guid: str) -> Response | None:
        if "guid" not in form or "seq" not in form:
            return answer(501, f"seq and guid are not present in the POSTed data {set(form)}")
        if len(guid) >= 60:
            return answer(403, f"Supplied sample identifier is unacceptable: {guid} must have fewer than 60 characters")
        if obstacle := self.condition.obstacle:
            return page(500, obstacle)
        if guid in self.samples.by_guid:
            return answer(201, f"Guid {guid} is already present")
        try:
            check_sequence(form["seq"], self.reference_length)
        except SequenceError as error:
            return page(500, str(error))
        return answer(409, LOCKED) if self.lock.held else None

    async def _store_later(self, guid: str, sequence: bytes, number: int, received: float) -> Response:
        try:
            await asyncio.sleep(max(0.0, received + self.insert_seconds - time.monotonic()))
            response = self._store(guid, sequence)
        except asyncio.CancelledError:
            self._ended(guid, number, died())
            raise
        finally:
            self.lock.running, self._insert_task = False, None
        return self._ended(guid, number, response)

    def _store(self, guid: str, sequence: bytes) -> Response:
        if obstacle := self.condition.obstacle:
            return page(500, obstacle)
        damage = self.condition.next_damage(guid)
        self.samples.add(guid, sequence, links=damage is None, in_engine=damage in (None, Damage.LINKS))
        if damage is None:
            return answer(200, f"Guid {guid} inserted.")
        if damage is Damage.ANSWER:
            return died()
        return answer(503, f"Error raised on persisting {guid}: {_composition(sequence)}")

    def _ended(self, guid: str, number: int, response: Response) -> Response:
        self.traffic.end(guid, number, response.status)
        return response

    def _new_traffic(self) -> None:
        self.traffic = Traffic()
        self.questions.memory_questions = 0

    def _add_sample(self, request: RawRequest) -> None:
        data = json.loads(request.body)
        links = bool(data.get("links", True))
        self.samples.add(data["guid"], data["seq"].encode(), links=links, in_engine=links)

    def _remove_samples(self, request: RawRequest) -> bool | int:
        query = request.query()
        return self.samples.keep_first(int(query["keep"])) if "keep" in query else self.samples.remove(query["guid"])

    def _show_samples(self) -> dict[str, Any]:
        shown: dict[str, Any] = {}
        missing = dict.fromkeys(("sha256", "md5", "length", "valid", "links", "added"))
        for guid in [*self.samples.by_guid, *sorted(self.traffic.by_guid.keys() - self.samples.by_guid.keys())]:
            sample = self.samples.by_guid.get(guid)
            answers = self.traffic.by_guid.get(guid, [])
            shown[guid] = {**(sample.show() if sample else missing), "calls": len(answers), "answers": answers}
        return shown


def _mirror(request: RawRequest) -> Response:
    return answer(200, {name: text(value) for name, value in read_form(request).items()})


def _composition(sequence: bytes) -> dict[str, list[int]]:
    """What the real server appends to a 503: positions by letter (here of the first letters only)."""
    head = sequence[:50].decode("latin-1").upper()
    return {letter: [at for at, other in enumerate(head) if other == letter] for letter in sorted(set(head))}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox fn4",
        description=f"{__doc__}\nFor tests and demos only.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_arguments(parser)
    parser.add_argument("--reference-length", type=int, default=29903, help="letters of a sequence (%(default)s)")
    parser.add_argument("--insert-seconds", type=float, default=0.0, help="how long an insert takes (%(default)s)")
    parser.add_argument(
        "--stale-lock", type=float, default=0.0, help="seconds for which the lock of a crashed insert remains"
    )
    parser.add_argument(
        "--lock-seconds", type=float, default=120.0, help="after these the lock manager frees a lock (%(default)s)"
    )
    parser.add_argument("--no-lock-manager", action="store_true", help="a lock that a crash left stays")
    parser.add_argument(
        "--engine-build", choices=sorted(BREAKS_LINKS), default="new", help="which ids break links (%(default)s)"
    )
    parser.add_argument("--workers", type=int, default=0, help="sync workers, each for one connection (0: no limit)")
    parser.add_argument(
        "--worker-timeout", type=float, default=150.0, help="after these a worker is killed (%(default)s)"
    )
    parser.add_argument("--store", type=Path, help="file in which samples survive a killed server")
    parser.add_argument("--auth", metavar="USER:PASSWORD", help="require basic authentication, as a proxy does")
    parser.add_argument("--prefix", default="", help="a path before /api/v2, as behind a proxy")
    return parser


def main(arguments: list[str]) -> int:
    """Run the stand-in from the command line."""
    options = _parser().parse_args(arguments)
    service = Fn4(options.reference_length, SampleStore(options.store))
    service.insert_seconds = options.insert_seconds
    service.set("stale_lock", options.stale_lock)
    service.set("lock_seconds", options.lock_seconds)
    service.set("lock_manager", not options.no_lock_manager)
    service.set("engine_build", options.engine_build)
    service.set("worker_timeout", options.worker_timeout)
    service.set("workers", options.workers)
    service.prefix = options.prefix.rstrip("/")
    if options.auth:
        service.authorization = "Basic " + base64.b64encode(options.auth.encode()).decode()
    facts = {"reference_length": options.reference_length, "prefix": service.prefix}
    return run(service, options.port, follow_stdin=options.follow_stdin, facts=facts)
