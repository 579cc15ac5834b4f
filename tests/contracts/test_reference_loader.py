"""reference/object-store-loader.txt, sentence by sentence: each test quotes the sentences that it proves."""

from __future__ import annotations

import re
import time

from sandbox.genomes import fasta
from tests.support.feeding import Feeding
from tests.support.site import POSTGRES
from tests.support.waiting import stop, until

SQL = """
select * from db.fn4batchload order by bl_int_id;
select * from db.fn4loadattempt ;
select * FROM FN4LOADER.FN4LOADATTEMPT where not insert_status_code = 200 order by gp_int_id desc;
select max(check_time) from FN4LOADER.FN4BATCHLOAD;
select current_timestamp, rct.recent_check_time, rsi.recent_successful_insert_time,  from dual
cross JOIN
(select max(check_time) recent_check_time from FN4LOADER.FN4BATCHLOAD) rct
cross join
(select max(insert_start_time) recent_successful_insert_time FROM FN4LOADER.FN4LOADATTEMPT where insert_status_code = 200) rsi
;
"""
"""All queries of the text, as they stand there."""


def queries() -> list[str]:
    """Without the schema's name, the stray comma and Oracle's `from dual`; nothing else is changed."""
    plain = re.sub(r"(?i)\b(db|FN4LOADER)\.", "", SQL)
    plain = plain.replace("recent_successful_insert_time,  from dual\ncross JOIN", "recent_successful_insert_time from")
    return [query for query in plain.split(";") if query.strip()]


def test_what_it_does(feeding: Feeding) -> None:
    """'determine whether there are any fasta files in an OCI object store', 'determine which have already been loaded into
    the server', 'start loading the batch, earliest first, and process until this is finished', 'catalogue the results of
    the is activity in a database'."""
    feeding.put_samples("earliest", "later", "latest")
    feeding.put("readme.txt", b"no FASTA file")
    feeding.fn4.insert("later", feeding.sent["later"])
    assert feeding.load().returncode == 0
    rows = feeding.manage.rows("SELECT listed, ignored, batch_size FROM fn4batchload")
    assert rows == [(4, 1, 3)]
    assert feeding.attempts("seqid, insert_status_code, completed") == [
        ("earliest", 200, 1),
        ("later", 201, 1),
        ("latest", 200, 1),
    ]
    assert feeding.load().returncode == 0
    assert len(feeding.attempts("1")) == 3, "what has been loaded is not tried again"


def test_it_repeats_and_waits_only_when_there_was_nothing_to_load(feeding: Feeding) -> None:
    """'It will then repeat the process, unless no files were found, in which case it will wait 3 minutes and then repeat.'"""
    feeding.put_samples("s1")
    process = feeding.start()
    until(lambda: len(feeding.manage.rows("SELECT 1 FROM fn4batchload")) == 2, "it looked again at once", process)
    assert feeding.manage.rows("SELECT batch_size FROM fn4batchload ORDER BY bl_int_id") == [(1,), (0,)]
    assert feeding.manage.rows("SELECT running_interval FROM loader_feed") == [(180.0,)]
    time.sleep(1.0)
    assert len(feeding.manage.rows("SELECT 1 FROM fn4batchload")) == 2, "it waits"
    assert stop(process)[0] == 0


def test_the_call_of_the_text_with_a_database_by_its_alias(feeding: Feeding) -> None:
    """'objectstoreaccess.py "http://localhost:5025" "lxxxx" "FN4-queue" "unittest_oracle"': server, namespace, bucket, alias."""
    feeding.put_samples("s1")
    words = ("fnload", feeding.fn4.url, feeding.oci.namespace, feeding.bucket, "unittest_oracle", "--once")
    told = feeding.manage(*words, DATABASE_URL_UNITTEST_ORACLE=feeding.manage.environment["DATABASE_URL"])
    assert told.returncode == 0, told.stderr
    feeding.assert_every_sample_is_in_once()


def test_monitoring_progress(feeding: Feeding) -> None:
    """'one row is written each time a batch of samples is started', 'one row is written each time an attempt is made to load
    a sample into the fn4 database', 'the machine and server combination is identified by host_name and
    findneighbour_server_url'. And every query of the text, on the rows that fnload itself wrote."""
    feeding.put_samples("s1", "there", "s2")
    feeding.fn4.insert("there", feeding.sent["there"])
    feeding.fn4.faults({"kind": "status", "status": 404, "path": "server_memory_usage"})  # it tells no length
    feeding.put("bad.fasta", fasta("bad", "ACGT"), created="2026-01-01T00:00:30Z")
    assert feeding.load().returncode == 10
    assert feeding.load().returncode == 0
    loads, attempts, not_200, checked, dates = (feeding.manage.rows(query) for query in queries())
    assert len(loads) == 2
    assert len(attempts) == 4, "the rejected file is not tried again"
    who = "SELECT DISTINCT host_name, findneighbour_server_url FROM "
    for table in ("fn4batchload", "fn4loadattempt"):
        assert feeding.manage.rows(who + table) == [("test-host", feeding.fn4.url)]
    keys = [key for (key,) in feeding.attempts("gp_int_id", "insert_status_code <> 200")]
    assert [row[0] for row in not_200] == keys[::-1]
    assert {status for (status,) in feeding.attempts("insert_status_code", "insert_status_code <> 200")} == {201, 500}
    assert checked == feeding.manage.rows("SELECT check_time FROM fn4batchload ORDER BY bl_int_id DESC LIMIT 1")
    ((now, recent_check, recent_insert),) = dates
    assert recent_check == checked[0][0]
    assert recent_insert == feeding.attempts("insert_start_time", "insert_status_code = 200")[-1][0]
    assert str(recent_insert) <= str(recent_check)
    if POSTGRES:
        assert recent_check <= now


def test_things_which_should_not_happen(feeding: Feeding) -> None:
    """'The server returns status 500 codes', 'The batch loader isn't trying to insert data': `fnstatus` says both."""
    feeding.fn4.faults({"kind": "status", "status": 404, "path": "server_memory_usage"})  # it tells no length
    feeding.put("bad.fasta", fasta("bad", "ACGT"))
    assert feeding.load().returncode == 10
    told = feeding.manage("fnstatus", "--json")
    assert (told.returncode, '"wrong_statuses"' in told.stdout, '"feed_silent"' in told.stdout) == (10, True, False)
    long_ago, yes = "'2020-01-01 00:00:00+00'", "true" if POSTGRES else "1"
    since = f"created_at = {long_ago}, checked_at = {long_ago}"
    feeding.manage.rows(f"UPDATE loader_feed SET scheduled = {yes}, {since} RETURNING 1")
    feeding.manage.rows(f"UPDATE fn4loadattempt SET insert_start_time = {long_ago} RETURNING 1")
    assert '"feed_silent"' in feeding.manage("fnstatus", "--json").stdout


def test_error_logging_needs_one_variable_and_is_off_without_it(feeding: Feeding) -> None:
    """'If the environment variable FN_SENTRY_URL is set …, then all errors will be logged to sentry.io.'
    That an error arrives there is in test_settings_sentry.py; that a wrong value is named, here."""
    told = feeding.load(FN_SENTRY_URL="no url")
    assert (told.returncode != 0, "FN_SENTRY_URL" in told.stderr, "Traceback" in told.stderr) == (True, True, False)
