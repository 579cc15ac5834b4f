"""Made `old_site.sqlite.sql.gz` and `old_site.postgres.sql.gz`: a small, full database of the version before the one layout.

Run it in a clone of commit d0f3b8d with that version's requirements, once a vendor, on an empty database:

    DATABASE_URL=sqlite:////tmp/old.sqlite3 PYTHONPATH=. python …/tests/data/make_old_site.py
    sqlite3 /tmp/old.sqlite3 .dump | gzip -9n > old_site.sqlite.sql.gz
    pg_dump --inserts --no-owner --no-privileges old | grep -v '^\\\\' | gzip -9n > old_site.postgres.sql.gz

All that a command can do is done by that version's commands, with its stand-ins; the rest by its models.
"""

from __future__ import annotations

import contextlib
import http.server
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from sandbox.clients import Fn4Sandbox, OciSandbox
from sandbox.faultproxy import FaultProxy
from sandbox.genomes import fasta, mutant, reference
from sandbox.s3 import S3Sandbox

LENGTH = 600
PORT = 45025
"""Of the findNeighbour4 stand-in; the test puts another one in its place."""
SECRET_KEY = "only-for-tests-" + "x" * 50
"""Queued jobs are signed with it."""
BUCKET = "fast-import-bucket"
QUEUE = "queue"
FOLDERS = Path("/srv/museum")
"""Rows name it; what is in it is not needed afterwards."""
ROWS = """
from datetime import timedelta
from django.contrib.auth.models import Group, User
from django.utils import timezone
from django_q.models import Schedule
from django_q.tasks import async_task
from loader.models import Feed, Server, TallyMark
from batches.models import Batch
from fnloader_site.models import AlarmChannel
from fnloader_site.tasks import alarms
from fnloader_site.schedules import switch
from loader.tasks import count_samples, prune, reconcile_feed

now = timezone.now()
for name, groups in (("morgan", ["operators"]), ("vera", ["viewers"]), ("guest", [])):
    user = User.objects.create_user(name, password="a long password of " + name)
    user.groups.set(Group.objects.filter(name__in=groups))
User.objects.create_superuser("boss", password="a long password of boss")
Server.objects.filter(feeds__name="flu").update(
    circuit_open_since=now, circuit_reason="does not accept connections (connection refused)")
Batch.objects.filter(bid="done").update(notes="The first one.\\nWithout errors, 'quoted'.")
reconcile_feed(Feed.objects.get(name="tb").pk)
count_samples()
TallyMark.objects.update(rolled_at=now - timedelta(minutes=1))
count_samples()
prune()
alarms()
AlarmChannel.objects.create(name="ping", failing_since=now, error="connection refused", tries=3)
Schedule.objects.create(name="report of the week", func="museum.tasks.report", schedule_type=Schedule.WEEKLY, repeats=-1)
switch(Schedule.objects.filter(name="check batches"), on=False)
async_task("loader.tasks.count_samples")
"""


class OldVersion:
    """The old version's manage.py."""

    def __init__(self) -> None:
        self.environment = {
            "FNLOADER_ENV_FILE": os.devnull,
            "SECRET_KEY": SECRET_KEY,
            "HOST_NAME": "test-host",
            "REPORTS_DIR": tempfile.mkdtemp(),
            "FN4_INSERT_DEADLINE": "2",
            "BATCH_STORE_URL": f"s3://{BUCKET}",
        }

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """A command that is left running."""
        return subprocess.Popen([sys.executable, "manage.py", *words], env=os.environ | self.environment)

    def __call__(self, *words: str, status: int = 0) -> None:
        """A command that ends with that status."""
        assert self.start(*words).wait() == status, words


@contextlib.contextmanager
def receiver() -> Iterator[str]:
    """Takes alarms."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(204)
            self.end_headers()

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def batches(site: OldVersion, s3: S3Sandbox, proxy: FaultProxy) -> None:
    """Batches in every state."""
    numbers = {"added": 3, "up": 12, "done": 5, "fail": 6, "old": 4, "clr": 5, "roll": 4, "part": 5, "cut": 8}
    for bid, number in numbers.items():
        folder = FOLDERS / bid
        folder.mkdir(parents=True)
        for n in range(1, number + 1):
            (folder / f"{bid.upper()}.{n} Ä.xml").write_text(f"<record n='{n}'/>")
        site("batch", "add", bid, str(folder))
    tracking = FOLDERS / "tracking.csv"
    tracking.write_text(
        "id,source_csv,mappable_rectype,action,batch_status,rec_ct,mapped?,map_oks,map_errs,map_warns\n"
        "mapped,/data/places.csv,place,update,mapped,04,2024-09-11_18_25,3,1,0\n"
    )
    site("batch", "import", str(tracking))
    for bid in ("up", "done", "fail", "old", "clr", "roll"):
        site("batch", "upload", bid)
    proxy.faults({"kind": "status", "status": 403, "code": "AccessDenied", "method": "PUT", "after": 3})
    site("batch", "upload", "part", status=10)
    proxy.clear_faults()
    proxy.faults({"kind": "hang", "method": "PUT", "when": "after"})
    upload = site.start("batch", "upload", "cut")
    while not s3_has(s3, "cut"):
        time.sleep(0.1)
    time.sleep(1)
    upload.kill()
    upload.wait()
    proxy.clear_faults()

    s3.delete(BUCKET, *keys(s3, "done"), *keys(s3, "old"), *keys(s3, "roll")[:2], *keys(s3, "fail")[:4])
    check = site.start("ingstat", "up", "--sleep", "6")
    time.sleep(4)
    s3.delete(BUCKET, *keys(s3, "up")[:5])
    assert check.wait() == 11
    site("ingstat", "done", "old", "--sleep", "0.1")
    site("ingstat", "fail", "clr", "roll", "--sleep", "0.1", status=10)
    site("batch", "rollback", "roll", "ingest", "--yes")
    site("batch", "clear", "clr", "--yes")
    site("batch", "archive", "old")


def keys(s3: S3Sandbox, bid: str) -> list[str]:
    """Its objects."""
    from batches.keys import decode

    return [name for name in s3.objects(BUCKET) if decode(name).batch == bid]


def s3_has(s3: S3Sandbox, bid: str) -> bool:
    """Whether the first came."""
    return bool(keys(s3, bid))


def feeds(site: OldVersion, oci: OciSandbox, fn4: Fn4Sandbox) -> None:
    """Feeds and files in every state."""
    genome = reference(LENGTH)

    def put(name: str, content: bytes | None = None) -> None:
        number = len(fn4.samples()) + oci.count(QUEUE)
        oci.put(QUEUE, f"{name}.fasta", content or fasta(name, mutant(genome, number)))

    site("feed", "add", "tb", fn4.url, oci.url(QUEUE), "--scheduled", "--interval", "60")
    site("feed", "add", "flu", "http://127.0.0.1:9", oci.url("flu"))
    site("feed", "pause", "flu", "--reason", "its server moves")
    site("feed", "add", "never", fn4.url, oci.url("never"))
    fn4.insert("other", mutant(genome, 500))
    fn4.insert("same", mutant(genome, 501))
    put("same", fasta("same", mutant(genome, 501)))
    for name in ("s1", "s2", "s3", "other"):
        put(name)
    put("odd", fasta("odd", genome, prefix="OTHER|"))
    put("empty", b"\n")
    site("fnload", fn4.url, oci.url(QUEUE), "--once", status=10)
    fn4.faults({"kind": "status", "status": 500, "method": "POST", "name_prefix": "later"})
    fn4.forget("s3")
    oci.delete(QUEUE, "s2.fasta")
    put("s1", fasta("s1", mutant(genome, 502)))
    put("later")
    put("gone")
    fn4.faults({"kind": "status", "status": 500, "method": "POST", "name_prefix": "gone"})
    site("fnload", fn4.url, oci.url(QUEUE), "--once", status=10)
    oci.delete(QUEUE, "gone.fasta")
    time.sleep(1)
    fn4.insert_seconds(60)
    put("killed")
    loading = site.start("fnload", fn4.url, oci.url(QUEUE))
    while "killed" not in fn4.samples():
        time.sleep(0.1)
    loading.kill()
    loading.wait()
    put("new")
    fn4.insert_seconds(0)


def main() -> None:
    """Everything, on DATABASE_URL."""
    site = OldVersion()
    site("migrate", "-v0")
    with (
        S3Sandbox(BUCKET) as s3,
        FaultProxy(s3.endpoint) as proxy,
        OciSandbox(QUEUE, "flu", "never", namespace="museum") as oci,
        receiver() as url,
    ):
        site.environment |= s3.environ(proxy.endpoint) | oci.environ() | {"ALARM_WEBHOOK_URL": url}
        batches(site, s3, proxy)
        fn4 = Fn4Sandbox(LENGTH)
        fn4.arguments += ["--port", str(PORT)]
        with fn4:
            feeds(site, oci, fn4)
            site("shell", "-v0", "-c", ROWS)
    shutil.rmtree(FOLDERS)


if __name__ == "__main__":
    main()
