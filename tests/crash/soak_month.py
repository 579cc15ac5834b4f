"""A month (`make soak`, PASSES=8640: one in 5 minutes) with two faults at a time now and then; memory and open files stay flat.

The daemon, the site's pages and its jobs run on one database. In one hour of three two faults of different places begin, and a
sample comes; then all faults end, and every good sample must be in. Among the faults is a clock that is an hour off, for which
a C compiler is needed. How far memory and open files grew is measured from a tenth of the run on, when everything was used once.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest
import requests

from tests.crash.soak import all_are_in
from tests.support.failing_database import strike
from tests.support.feeding import Feeding
from tests.support.truth import assert_no_links_are_claimed
from tests.support.waiting import until

PASSES = int(os.environ.get("PASSES", "8640"))
PASSES_AN_HOUR = 12
FAULTS_AN_HOUR = 1 / 3
ADDRESSES = ("/", "/batches/", "/feeds/", "/samples/", "/loads/", "/metrics", "/feeds/?export=csv")
MOST_MB, MOST_FILES = 24.0, 12
"""How much each program may grow: another thread of the site has connections of its own, once."""
SERVER: dict[str, dict[str, object]] = {
    "server resets before": {"kind": "reset", "method": "POST", "when": "before"},
    "server resets after": {"kind": "reset", "method": "POST", "when": "after"},
    "server 502 and works": {"kind": "status", "status": 502, "method": "POST", "when": "during"},
    "server 503 and stored": {"kind": "status", "status": 503, "method": "POST", "when": "after"},
    "server 500 to questions": {"kind": "status", "status": 500, "path": "/exists"},
    "server drips": {"kind": "drip", "seconds": 0.05},
    "server truncates": {"kind": "truncate", "path": "/exists"},
    "server 429": {"kind": "status", "status": 429},
}
STORE: dict[str, dict[str, object]] = {
    "store 429": {"kind": "status", "status": 429, "code": "TooManyRequests"},
    "store 503": {"kind": "status", "status": 503},
    "store resets": {"kind": "reset"},
    "store drips": {"kind": "drip", "seconds": 0.3},
    "store truncates": {"kind": "truncate"},
    "store corrupts": {"kind": "corrupt"},
    "store sends a page": {"kind": "page"},
    "store redirects": {"kind": "redirect", "body": "https://other.example.org/"},
    "store goes round": {
        "kind": "status",
        "status": 200,
        "path": "fields=",
        "body": '{"objects": [{"name": "m"}], "nextStartWith": "m"}',
        "content_type": "application/json",
    },
    "store refuses credentials": {"kind": "status", "status": 401, "code": "NotAuthenticated"},
}

CLOCK = {"clock an hour ahead": 3600, "clock an hour back": -3600}


class Drained:
    """A process whose output is read all the time: it would wait for a reader of a full pipe."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said: deque[str] = deque(maxlen=1000)
        self._streams = [stream for stream in (process.stdout, process.stderr) if stream]
        self._threads = [Thread(target=self.said.extend, args=(stream,), daemon=True) for stream in self._streams]
        for thread in self._threads:
            thread.start()

    def stop(self, *, tracebacks: bool = False) -> None:
        """Ends it; it must end well, and have had no error that nobody thought of: a job whose database is away has one."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(60)
        for thread in self._threads:
            thread.join()
        for stream in self._streams:
            stream.close()
        unexpected = [] if tracebacks else [line for line in self.said if "Traceback" in line]
        assert (status, unexpected) == (0, []), list(self.said)[-30:]


class Program:
    """One of the processes that are measured: its memory and open files, and those of its children."""

    def __init__(self, name: str, pid: Callable[[], int]) -> None:
        self.name, self._pid = name, pid
        self.memory: list[float] = []
        self.files: list[int] = []

    def measure(self) -> None:
        """Adds what it has now, in MB; nothing while it is restarted."""
        try:
            pids = [self._pid(), *_children(self._pid())]
            pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
            files = sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids)  # noqa: PTH208 - counted only
        except OSError:
            return
        self.memory.append(pages * os.sysconf("SC_PAGE_SIZE") / 1e6)
        self.files.append(files)

    def growth(self) -> tuple[float, float]:
        """Megabytes and files, from the second tenth of the run to the last one."""
        tenth = max(1, len(self.memory) // 10)
        pairs = ((series[tenth : 2 * tenth], series[-tenth:]) for series in (self.memory, self.files))
        megabytes, files = (statistics.median(late) - statistics.median(early) for early, late in pairs)
        return megabytes, files


class Clock:
    """What `fnload` and `serve` take for the time of day; they wait by the true one."""

    def __init__(self, folder: Path) -> None:
        self._library, self._file = folder / "clock.so", folder / "clock"
        source = Path(__file__).with_name("clock.c")
        subprocess.run(["cc", "-shared", "-fPIC", "-o", str(self._library), str(source)], check=True)
        self._file.write_bytes(bytes(8))

    def environment(self) -> dict[str, str]:
        """For the programs."""
        return {"LD_PRELOAD": str(self._library), "CLOCK_FILE": str(self._file)}

    def set(self, seconds: int) -> None:
        """How far they are ahead from now on."""
        with self._file.open("r+b") as file:
            file.write(seconds.to_bytes(8, sys.byteorder, signed=True))


def _children(pid: int) -> list[int]:
    direct = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return direct + [below for child in direct for below in _children(child)]


class Visitor:
    """A browser that is logged in, and asks for one page after the other."""

    def __init__(self, feeding: Feeding) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        made = feeding.manage(
            "createsuperuser", "--noinput", "--username", "a", "--email", "", DJANGO_SUPERUSER_PASSWORD="tall-tree-77"
        )
        assert made.returncode == 0, made.stderr
        bind = ("--bind", f"127.0.0.1:{port}")
        self.site = Drained(feeding.manage.start("serve", *bind, WEB_CONCURRENCY="1", JOB_WORKERS="1"))
        self.session = requests.Session()
        # A connection that was idle may be closed while a request is on its way; a browser asks again, this library does not.
        self.session.headers["Connection"] = "close"
        self.answers: Counter[int] = Counter()
        until(self._is_ready, "the site answers", self.site.process)
        page = self.session.get(f"{self.url}/login/", timeout=60)
        form = {"username": "a", "password": "tall-tree-77", "csrfmiddlewaretoken": self.session.cookies["csrftoken"]}
        assert self.session.post(page.url, form, headers={"Referer": page.url}, timeout=60).ok

    def _is_ready(self) -> bool:
        try:
            return self.session.get(f"{self.url}/healthz", timeout=5).ok
        except requests.RequestException:
            return False

    def look(self, address: str) -> None:
        """Asks for a page. While the database is struck its answer may be an error, in words."""
        response = self.session.get(self.url + address, timeout=60)
        self.answers[response.status_code] += 1
        assert "Traceback" not in response.text


@pytest.mark.timeout(0)
def test_a_month_of_passes_under_pairs_of_faults(feeding: Feeding, tmp_path: Path) -> None:
    chance = random.Random(os.environ.get("SEED", "1"))
    feeding.manage.environment["STORE_READ_TIMEOUT"] = "0.5"
    clock = Clock(tmp_path)
    feeding.manage.environment |= clock.environment()
    daemon = Drained(feeding.start("--interval", "0.02", LOG_LEVEL="ERROR"))
    feeding.put_samples("first")
    until(feeding.fn4.guids, "it has begun", daemon.process)
    visitor = Visitor(feeding)
    programs = [Program("fnload", lambda: daemon.process.pid), Program("serve", lambda: visitor.site.process.pid)]
    pairs: Counter[frozenset[str]] = Counter()
    listed = feeding.oci.object_path(feeding.bucket) + "?"
    for number in range(1, PASSES // PASSES_AN_HOUR + 1):
        if chance.random() < FAULTS_AN_HOUR:
            one, other = chance.choice(list(SERVER)), chance.choice([*STORE, "database", *CLOCK])
            pairs[frozenset((one, other))] += 1
            # None: for all of the hour.
            feeding.fn4.faults({**SERVER[one], "times": chance.choice((1, 2, 3, None))})
            if other in STORE:
                feeding.oci.faults({**STORE[other], "times": chance.choice((1, 2, 3, None))})
            clock.set(CLOCK.get(other, 0))
            feeding.put_samples(f"m{number}")
            if other == "database":
                strike(feeding.manage, "loader_feed")
            visitor.look(chance.choice(ADDRESSES))
            time.sleep(1.0)
        visitor.look(chance.choice(ADDRESSES))
        clock.set(0)
        settle(feeding, daemon)
        feeding.oci.clear_log()
        try:
            until(lambda: feeding.oci.requests("GET", listed) >= PASSES_AN_HOUR, "an hour has passed", daemon.process)
        except AssertionError:
            print(*daemon.said, sep="")
            raise
        for program in programs:
            program.measure()
        if number % 24 == 0:
            report(number, programs)
        if number % (24 * 7) == 0:
            # As a deployment does.
            daemon.stop()
            daemon = Drained(feeding.start("--interval", "0.02", LOG_LEVEL="ERROR"))
            # Before it has begun, a failing store ends it with 1, for its caller to see.
            feeding.put_samples(f"r{number}")
            settle(feeding, daemon)
    settle(feeding, daemon)
    daemon.stop()
    visitor.site.stop(tracebacks=True)
    print(f"{len(pairs)} different pairs of faults, {pairs.total()} in all; pages: {dict(visitor.answers)}")
    report(PASSES // PASSES_AN_HOUR, programs)
    feeding.assert_every_sample_is_in_once()
    assert feeding.fn4.stats()["most_in_flight"] == 1
    assert {state for _, state, _ in feeding.objects()} == {"loaded"}
    assert_no_links_are_claimed(feeding)
    for program in programs:
        megabytes, files = program.growth()
        assert megabytes < MOST_MB, (program.name, program.memory)
        assert files < MOST_FILES, (program.name, program.files)


def settle(feeding: Feeding, daemon: Drained) -> None:
    """All faults end, and every good sample gets in; a feed that was paused is resumed, as its concern says."""
    feeding.fn4.clear_faults()
    feeding.oci.clear_faults()
    end = time.monotonic() + 240
    while not all_are_in(feeding):
        assert daemon.process.poll() is None and time.monotonic() < end, where_it_stands(feeding, daemon)  # noqa: PT018
        for (feed,) in feeding.manage.rows("SELECT name FROM loader_feed WHERE paused_at IS NOT NULL"):
            assert feeding.manage("feed", "resume", feed).returncode == 0
        time.sleep(0.2)


def where_it_stands(feeding: Feeding, daemon: Drained) -> str:
    """What is not in yet, and what the feed, the server and the daemon say of it."""
    missing = set(feeding.sent) - set(feeding.fn4.guids())
    rows = [
        *feeding.manage.rows(
            "SELECT name, state, tries, not_before, reason FROM loader_bucketobject WHERE state <> 'loaded'"
        ),
        *feeding.manage.rows("SELECT * FROM loader_feed"),
        *feeding.manage.rows("SELECT * FROM loader_server"),
        *feeding.attempts("*", "outcome = 'open'"),
    ]
    facts = [f"not in: {missing}", f"status of the daemon: {daemon.process.poll()}", *map(str, rows), *daemon.said]
    return "\n".join(facts)


def report(hours: int, programs: list[Program]) -> None:
    """A line for who waits."""
    facts = [
        f"{program.name} {program.memory[-1]:.0f} MB ({program.growth()[0]:+.1f}), {program.files[-1]} files"
        f" ({program.growth()[1]:+.0f})"
        for program in programs
    ]
    print(f"{hours} hours, {hours * PASSES_AN_HOUR} passes: {'; '.join(facts)}", flush=True)
