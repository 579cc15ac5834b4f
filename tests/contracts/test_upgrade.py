"""A database of the version before the one layout is migrated, keeps every row, and everything in it goes on."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from batches.keys import encode
from fnloader_site.schedules import SCHEDULES
from sandbox.clients import Fn4Sandbox, OciSandbox
from sandbox.genomes import fasta, mutant, reference
from sandbox.s3 import S3Sandbox
from tests.data import make_old_site as old
from tests.support.fork_server import ForkServer
from tests.support.jobs import Jobs
from tests.support.site import POSTGRES, Manage, a_site, empty_database
from tests.support.waiting import until

DATA = Path(old.__file__).parent
CHANGED = {"django_migrations", "django_content_type", "auth_permission", "auth_group_permissions", "django_q_schedule"}
"""Tables to which `migrate` may add rows, or in which it updates them."""
FILLED = """
auth_user auth_user_groups batches_batchstep batches_ingestcheck batches_ingestcount django_q_ormq django_q_schedule
fnloader_site_alarm fnloader_site_alarmchannel fnloader_site_alarmnotice fnloader_site_jobrun loader_feed loader_finding
loader_server loader_tally loader_tallymark
"""
TABLES = (
    "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    if POSTGRES
    else "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
)
Table = tuple[list[str], list[tuple[Any, ...]]]


@dataclass
class OldSite:
    """An old database under today's code, with what stood in each table before `migrate`."""

    manage: Manage
    before: dict[str, Table]

    def ask(self, code: str) -> Any:  # noqa: ANN401 - JSON
        """What Python code prints as JSON in the site's shell."""
        answer = self.manage("shell", "-v0", "-c", f"import json\n{code}")
        assert answer.returncode == 0, answer.stderr
        return json.loads(answer.stdout)


@dataclass
class Outside:
    """What the old site was connected to."""

    oci: OciSandbox
    fn4: Fn4Sandbox
    s3: S3Sandbox
    folders: Path


@pytest.fixture(scope="module")
def outside(s3: S3Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outside]:
    """Stand-ins that hold nothing yet."""
    s3.create_bucket(old.BUCKET)
    with OciSandbox(old.QUEUE, "flu", "never", namespace="museum") as oci, Fn4Sandbox(old.LENGTH) as fn4:
        yield Outside(oci, fn4, s3, tmp_path_factory.mktemp("museum"))


@pytest.fixture(scope="module")
def old_database(outside: Outside, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The dump in a database: its name and URL; with the addresses of today's stand-ins."""
    script = (DATA / f"old_site.{'postgres' if POSTGRES else 'sqlite'}.sql").read_text()
    script = script.replace(f":{old.PORT}", f":{outside.fn4.endpoint.rpartition(':')[2]}")
    script = script.replace(str(old.FOLDERS), str(outside.folders))
    with empty_database(tmp_path_factory.mktemp("old")) as (name, url):
        if POSTGRES:
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(script.encode())
        else:
            lite = sqlite3.connect(name)
            lite.executescript(script)
            lite.close()
        yield name, url


@pytest.fixture(scope="module")
def migrated_database(
    old_database: tuple[str, str], outside: Outside, fork_server: ForkServer
) -> tuple[str, dict[str, Table]]:
    """It is migrated, and may be copied; with what stood in each table before."""
    name, url = old_database
    manage = Manage(_environment(outside) | {"DATABASE_URL": url}, fork_server)
    before = {str(table): _read(manage, str(table)) for (table,) in manage.rows(TABLES)}
    migrated = manage("migrate", "-v0")
    assert migrated.returncode == 0, migrated.stderr
    return name, before


@pytest.fixture
def site(
    migrated_database: tuple[str, dict[str, Table]], outside: Outside, tmp_path: Path, fork_server: ForkServer
) -> Iterator[OldSite]:
    """A copy of that."""
    name, before = migrated_database
    with a_site(name, tmp_path, fork_server) as manage:
        manage.environment |= _environment(outside)
        yield OldSite(manage, before)


def _environment(outside: Outside) -> dict[str, str]:
    # A queued job is signed with the key, and stands in the queue of this name.
    queue = {"SECRET_KEY": old.SECRET_KEY, "JOB_QUEUE": "fnloader", "REDIS_URL": ""}
    feeding = {"BATCH_STORE_URL": f"s3://{old.BUCKET}", "FN4_INSERT_DEADLINE": "2"}
    return outside.oci.environ() | outside.s3.environ() | queue | feeding


def _read(manage: Manage, table: str, columns: list[str] | None = None) -> Table:
    if columns is None:
        if POSTGRES:
            found = manage.rows("SELECT column_name FROM information_schema.columns WHERE table_name = %s", table)
        else:
            found = manage.rows(f"SELECT name FROM pragma_table_info('{table}')")
        columns = sorted(str(name) for (name,) in found)
    names = ", ".join(f'"{name}"' for name in columns)
    return columns, sorted(manage.rows(f'SELECT {names} FROM "{table}"'), key=repr)


def test_every_row_of_every_table_is_kept(site: OldSite) -> None:
    numbers = {table: len(rows) for table, (_, rows) in site.before.items()}
    assert numbers["batches_batch"] == 10
    assert numbers["batches_batchrecord"] == 52
    assert numbers["loader_bucketobject"] == 11
    assert numbers["fn4loadattempt"] == 11
    assert numbers["fn4batchload"] == 3
    assert [table for table in FILLED.split() if not numbers[table]] == []
    for table, (columns, rows) in site.before.items():
        now = _read(site.manage, table, columns)[1]
        assert now == rows or (table in CHANGED and set(now) >= set(rows)), table


def test_migrate_and_makemigrations_have_nothing_more_to_do(site: OldSite) -> None:
    assert "No migrations to apply." in site.manage("migrate").stdout
    checked = site.manage("makemigrations", "--check", "--dry-run")
    assert checked.returncode == 0, checked.stdout


def test_schedules_are_those_of_today_and_what_people_did_with_them_stays(site: OldSite) -> None:
    rows = {name: (func, cron, repeats) for name, func, cron, repeats in site.manage.rows(_SCHEDULES)}
    assert rows.pop("report of the week") == ("museum.tasks.report", None, -1)
    assert rows == {one.name: (one.func, one.cron, 0 if one.name == "check batches" else -1) for one in SCHEDULES}


_SCHEDULES = "SELECT name, func, cron, repeats FROM django_q_schedule"


def test_a_job_that_the_old_version_queued_is_done(site: OldSite) -> None:
    queued = site.ask("from django_q.models import OrmQ; print(json.dumps(OrmQ.objects.get().task_id()))")
    site.manage.rows("UPDATE django_q_schedule SET repeats = 0")
    jobs = Jobs(site.manage)
    try:
        jobs.start(JOB_WORKERS="1")
        until(lambda: site.manage.rows("SELECT 1 FROM django_q_task WHERE id = %s", queued), "the job is done")
    finally:
        jobs.kill_all()
    assert site.manage.rows("SELECT func, success FROM django_q_task") in (
        [("loader.tasks.count_samples", True)],
        [("loader.tasks.count_samples", 1)],
    )
    assert site.manage.rows("SELECT count(*) FROM django_q_ormq") == [(0,)]
    assert jobs.runs("loader.tasks.count_samples") == 3


def test_commands_answer(site: OldSite) -> None:
    listed = site.manage("batch", "list")
    assert listed.returncode == 0, listed.stderr
    assert {line.split()[0] for line in listed.stdout.splitlines()} >= {"added", "mapped", "up", "done", "fail", "cut"}
    feeds = site.manage("feed", "list")
    assert feeds.returncode == 0, feeds.stderr
    assert {line.split()[0] for line in feeds.stdout.splitlines()} >= {"tb", "flu", "never"}
    status = site.manage("fnstatus", "--json")
    assert status.returncode == 10, status.stderr
    kinds = {(concern["kind"], concern["about"]) for concern in json.loads(status.stdout)["concerns"]}
    assert kinds >= {
        ("feed_paused", "flu"),
        ("files_rejected", "tb"),
        ("samples_lost", "tb"),
        ("upload_cut_off", "cut"),
    }
    stored = site.manage("ingstat", "fail", "--json")
    assert stored.returncode == 10, stored.stderr


def test_batches_go_on(site: OldSite, outside: Outside) -> None:
    up = [encode("up", "/collectionobjects", f"UP.{n} Ä", "CREATE") for n in (1, 2)]
    outside.s3.put_many(old.BUCKET, dict.fromkeys(up, b"<record/>"))
    checked = site.manage("ingstat", "--all", "--sleep", "0.01", "--json")
    assert checked.returncode == 10, checked.stdout + checked.stderr
    outside.s3.delete(old.BUCKET, *up)
    found = site.manage.rows("SELECT bid, status, ingest_oks, ingest_errs FROM batches_batch WHERE upload_oks > 0")
    assert set(found) >= {("up", "ingested", 10, 2), ("roll", "ingested", 4, 0), ("part", "ingested", 3, 0)}
    (outside.folders / "cut").mkdir()
    for n in range(1, 9):
        (outside.folders / "cut" / f"CUT.{n} Ä.xml").write_text(f"<record n='{n}'/>")
    uploaded = site.manage("batch", "upload", "cut")
    assert uploaded.returncode == 10, uploaded.stdout + uploaded.stderr
    assert site.manage.rows("SELECT upload_oks + upload_errs FROM batches_batch WHERE bid = 'cut'") == [(8,)]
    assert site.manage("batch", "archive", "old", "--undo").returncode == 0


def test_feeds_go_on(site: OldSite, outside: Outside) -> None:
    genome = reference(old.LENGTH)
    for number, name in enumerate(("killed", "later", "new")):
        outside.oci.put(old.QUEUE, f"{name}.fasta", fasta(name, mutant(genome, number)))
    site.manage.rows("UPDATE loader_bucketobject SET not_before = NULL")
    loaded = site.manage("fnload", outside.fn4.url, outside.oci.url(old.QUEUE), "--once")
    assert loaded.returncode == 0, loaded.stdout + loaded.stderr
    assert set(outside.fn4.guids()) == {"killed", "later", "new"}
    assert site.manage.rows("SELECT count(*) FROM fn4loadattempt WHERE outcome = 'open'") == [(0,)]


def test_people_may_do_what_they_might(site: OldSite) -> None:
    assert site.ask(_PEOPLE) == {
        "morgan": [True, True, True],
        "vera": [True, False, False],
        "guest": [False, False, False],
        "boss": [True, True, True],
    }


_PEOPLE = """
from django.contrib.auth.models import User
names = ("fnloader_site.view_jobrun", "batches.delete_batch", "loader.change_feed")
print(json.dumps({user.username: [user.has_perm(name) for name in names] for user in User.objects.all()}))
"""


def test_old_links_lead_somewhere(site: OldSite) -> None:
    reports = Path(site.manage.environment["REPORTS_DIR"]) / "clr"
    reports.mkdir(parents=True)
    (reports / "cleared_20261125T130000000000Z.csv").write_text("identifier\n")
    answers = site.ask(_PAGES.replace("LINKS", repr(LINKS.split())))
    assert {link: status for link, status in answers.items() if status != 200} == {}


LINKS = """
/ /?part=live /search/?q=s1 /sample/?id=s1 /sample/ask/tb/?id=s1 /password/ /healthz /readyz /metrics
/batches/ /batches/?status=ingested /batches/done/ /batches/fail/
/batches/fail/report/ /batches/clr/cleared_20261125T130000000000Z.csv /batches/up/check/
/batches/fail/rollback-ingest/ /batches/part/rollback-upload/ /batches/fail/clear/ /batches/done/archive/ /batches/old/unarchive/
/feeds/ /feeds/tb/ /feeds/tb/pause/ /feeds/flu/resume/ /feeds/tb/load/ /feeds/tb/reconcile/
/feeds/tb/retry/ /feeds/tb/acknowledge/ /files/ /files/?state=rejected /files/1/ /files/1/again/ /files/1/accept/
/differences/ /loads/ /attempts/ /attempts/?outcome=rejected /attempts/1/
/admin/ /admin/fnloader_site/jobrun/ /admin/fnloader_site/alarm/ /admin/fnloader_site/alarmchannel/ /admin/batches/batch/
/admin/loader/feed/ /admin/loader/server/ /admin/loader/bucketobject/ /admin/loader/loadattempt/ /admin/loader/batchload/
/admin/loader/finding/ /admin/batches/batchrecord/ /admin/batches/batchstep/ /admin/batches/ingestcheck/ /admin/admin/logentry/
/admin/django_q/schedule/ /admin/auth/user/ /admin/auth/group/
/batches/?export=csv /files/?export=csv /attempts/?export=csv /loads/?export=csv
"""
_PAGES = """
from django.test import Client
client = Client(HTTP_HOST="localhost", REMOTE_ADDR="127.0.0.1")
login = client.post("/login/", {"username": "boss", "password": "a long password of boss"})
assert login.status_code == 302, login
def status(link):
    answer = client.get(link, follow=True)
    list(answer.streaming_content) if answer.streaming else answer.content
    return answer.status_code
print(json.dumps({link: status(link) for link in LINKS}))
"""
