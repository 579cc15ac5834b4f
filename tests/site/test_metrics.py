"""`/metrics`, `/readyz` and the log: for machines, cheap however much there is, and closed to strangers."""

from __future__ import annotations

import json
import logging
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from core.logs import ContextFilter, json_formatter, log_context
from loader.choices import AttemptOutcome, ObjectState
from loader.maintenance import counters
from loader.models import LoadAttempt, Tally, TallyMark
from tests.support.feeding import Feeding
from tests.support.feeds import MakeFeed, add_attempt, add_object
from tests.support.shelf import Shelf

Values = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def read(client: Client) -> Values:
    """What a Prometheus server would read, by name and labels."""
    text = client.get("/metrics").content.decode()
    families = text_string_to_metric_families(text)
    return {(one.name, tuple(sorted(one.labels.items()))): one.value for family in families for one in family.samples}


def make_tallies_due() -> None:
    TallyMark.objects.update(rolled_at=timezone.now() - timedelta(minutes=1))


def test_samples_are_counted_once_by_outcome_with_their_times(make_feed: MakeFeed, client: Client) -> None:
    feed, now = make_feed(), timezone.now()
    item = add_object(feed, "s1", ObjectState.LOADED)
    took = {"insert_start_time": now, "bucket_read_start_time": now, "bucket_read_end_time": now + timedelta(seconds=3)}
    for seconds in (0.02, 0.3, 400.0):
        add_attempt(item, AttemptOutcome.INSERTED, **took, insert_end_time=now + timedelta(seconds=seconds))
    add_attempt(item, AttemptOutcome.REJECTED)
    LoadAttempt.objects.create(seqid="adopted", completed=1)
    read(client)
    for _ in range(3):
        make_tallies_due()
        values = read(client)
    labels = (("feed", "tb"),)
    assert values["fnloader_samples_total", (("feed", "tb"), ("outcome", "inserted"))] == 3
    assert values["fnloader_samples_total", (("feed", "tb"), ("outcome", "rejected"))] == 1
    assert values["fnloader_insert_seconds_count", labels] == 3
    assert values["fnloader_insert_seconds_sum", labels] == pytest.approx(400.32)
    assert values["fnloader_insert_seconds_bucket", (("feed", "tb"), ("le", "0.025"))] == 1
    assert values["fnloader_insert_seconds_bucket", (("feed", "tb"), ("le", "150.0"))] == 2
    assert values["fnloader_read_seconds_bucket", (("feed", "tb"), ("le", "2.5"))] == 0
    assert values["fnloader_read_seconds_count", labels] == 3


def test_an_open_attempt_is_counted_when_it_has_ended(make_feed: MakeFeed) -> None:
    item = add_object(make_feed(), "s1")
    add_attempt(item, AttemptOutcome.INSERTED)
    still = add_attempt(item, AttemptOutcome.OPEN)
    add_attempt(item, AttemptOutcome.INSERTED)
    for _ in range(3):
        counters.update_counters()
        make_tallies_due()
    assert Tally.objects.get().number == 1
    LoadAttempt.objects.filter(pk=still.pk).update(outcome=AttemptOutcome.FAILED)
    counters.update_counters()
    assert dict(Tally.objects.values_list("bucket", "number")) == {"inserted": 2, "failed": 1}
    assert counters.update_counters() == 0, "not twice within half a minute"


def test_what_is_written_late_under_a_smaller_number_is_counted(make_feed: MakeFeed) -> None:
    item = add_object(make_feed(), "s1")
    add_attempt(item, AttemptOutcome.INSERTED, gp_int_id=1002)
    counters.update_counters()
    assert Tally.objects.count() == 0, "what has just been written is counted the next time"
    add_attempt(item, AttemptOutcome.INSERTED, gp_int_id=1001)
    make_tallies_due()
    counters.update_counters()
    assert Tally.objects.get().number == 2


def test_a_scrape_has_the_state_of_feeds_servers_batches_and_jobs(
    make_feed: MakeFeed, shelf: Shelf, client: Client
) -> None:
    from batches import tasks

    feed = make_feed(paused_at=timezone.now(), checked_at=timezone.now() - timedelta(hours=1))
    add_object(feed, "s1", first_seen=timezone.now() - timedelta(minutes=10))
    add_object(feed, "s2", ObjectState.REJECTED)
    type(feed.server).objects.update(circuit_open_since=timezone.now(), number_in_server=12)
    shelf.batch("plc", "a", "b")
    tasks.count_batches()
    values = read(client)
    assert values["fnloader_files", (("feed", "tb"), ("state", "waiting"))] == 1
    assert values["fnloader_files", (("feed", "tb"), ("state", "rejected"))] == 1
    assert 595 < values["fnloader_oldest_waiting_seconds", (("feed", "tb"),)] < 900
    assert 3595 < values["fnloader_checked_seconds_ago", (("feed", "tb"),)] < 3900
    assert values["fnloader_feed_paused", (("feed", "tb"),)] == 1
    assert values["fnloader_server_away", (("server", "http://127.0.0.1:1 on test-host"),)] == 1
    assert values["fnloader_server_samples", (("server", "http://127.0.0.1:1 on test-host"),)] == 12
    assert values["fnloader_batches", (("status", "uploaded"),)] == 1
    assert values["fnloader_batch_remaining", (("batch", "plc"),)] == 2
    assert values["fnloader_queue_depth", ()] == 0
    assert values["fnloader_jobs_total", (("ended", "well"), ("job", "batches.tasks.count_batches"))] == 1


def test_a_scrape_never_reads_what_is_loaded(make_feed: MakeFeed, client: Client) -> None:
    feed = make_feed()
    for number in range(20):
        add_attempt(add_object(feed, f"s{number}", ObjectState.LOADED), AttemptOutcome.INSERTED)
    for _ in range(3):
        read(client)
        make_tallies_due()
    with CaptureQueriesContext(connection) as queries:
        read(client)
    assert len(queries) < 25
    for query in queries:
        if "fn4loadattempt" in query["sql"] and "COUNT" in query["sql"].upper():
            pytest.fail(f"counts a table that grows: {query['sql']}")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"REMOTE_ADDR": "127.0.0.1"}, 200),
        ({"REMOTE_ADDR": "10.0.0.1"}, 403),
        ({"REMOTE_ADDR": ""}, 200),
        ({"REMOTE_ADDR": "127.0.0.1", "HTTP_X_PROMETHEUS_SCRAPE_TIMEOUT_SECONDS": "10"}, 200),
        *(
            ({"REMOTE_ADDR": address, f"HTTP_{name}": "10.0.0.1"}, 403)
            for address in ("127.0.0.1", "")
            for name in (
                "X_FORWARDED_FOR",
                "X_REAL_IP",
                "FORWARDED",
                "VIA",
                "TRUE_CLIENT_IP",
                "CF_CONNECTING_IP",
                "X_ANY",
            )
        ),
        ({"REMOTE_ADDR": "127.0.0.1", "SERVER_PROTOCOL": "HTTP/1.0"}, 403),
        ({"REMOTE_ADDR": "127.0.0.1", "HTTP_X_REAL_IP": "10.0.0.1", "HTTP_AUTHORIZATION": "Bearer right"}, 200),
        ({"REMOTE_ADDR": "10.0.0.1", "HTTP_AUTHORIZATION": "Bearer right"}, 200),
        ({"REMOTE_ADDR": "10.0.0.1", "HTTP_AUTHORIZATION": "Bearer wrong"}, 403),
        ({"REMOTE_ADDR": "10.0.0.1", "HTTP_AUTHORIZATION": "Bearer "}, 403),
    ],
)
def test_metrics_are_for_this_machine_or_a_token(client: Client, headers: dict[str, str], status: int) -> None:
    with override_settings(METRICS_TOKEN="right"):
        assert client.generic("GET", "/metrics", **headers).status_code == status  # type: ignore[arg-type]
    with override_settings(METRICS_TOKEN=""):
        assert client.get("/metrics", REMOTE_ADDR="10.0.0.1", HTTP_AUTHORIZATION="Bearer ").status_code == 403


@pytest.mark.django_db
def test_readiness_checks_database_and_broker(client: Client) -> None:
    assert (client.get("/readyz").status_code, client.get("/readyz").content) == (200, b"ready\n")
    with override_settings(REDIS_URL="redis://127.0.0.1:1/0"):
        assert (client.get("/readyz").status_code, client.get("/readyz").content) == (503, b"broker\n")


def test_a_site_without_its_database_lives_and_is_not_ready(feeding: Feeding) -> None:
    code = (
        "from django.test import Client; c = Client(HTTP_HOST='localhost');"
        "print([(c.get(p).status_code, c.get(p).content) for p in ('/healthz', '/readyz')])"
    )
    result = feeding.manage("shell", "-v0", "-c", code, DATABASE_URL="sqlite:////nowhere/at/all.sqlite3")
    assert "[(200, b'ok\\n'), (503, b'database\\n')]" in result.stdout, result.stderr


def test_a_line_has_the_fields_of_its_context() -> None:
    record = logging.makeLogRecord({"name": "fnloader.loader", "levelname": "INFO", "msg": "gone"})
    with log_context(feed="tb"), log_context(sample="s1", attempt=7):
        ContextFilter().filter(record)
    assert record.__dict__["context"] == " feed=tb sample=s1 attempt=7"
    line = json.loads(json_formatter().format(record))
    assert (line["feed"], line["sample"], line["attempt"], line["batch"]) == ("tb", "s1", "7", None)
    assert (line["message"], line["level"], line["logger"]) == ("gone", "INFO", "fnloader.loader")
    other = logging.makeLogRecord({"msg": "x"})
    ContextFilter().filter(other)
    assert other.__dict__["context"] == ""


def test_a_loader_logs_json_where_it_is_wanted(feeding: Feeding) -> None:
    feeding.put("bad.fasta", b"")
    result = feeding.load(LOG_FORMAT="json")
    assert result.returncode == 10
    lines = [json.loads(line) for line in result.stderr.splitlines()]
    assert {line["feed"] for line in lines} == {feeding.bucket}
    assert any("bad.fasta: rejected" in line["message"] for line in lines)
    assert result.stdout == ""


@pytest.mark.django_db
@pytest.mark.parametrize("host", ["10.1.2.3:8000", "loader-1.internal", "", "a_b", "[fe80::1%eth0]:8000", "x y"])
def test_monitors_may_ask_for_any_host(client: Client, host: str) -> None:
    production: dict[str, Any] = {
        "ALLOWED_HOSTS": ["fnloader.example.org"],
        "SECURE_SSL_REDIRECT": True,
        "SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https"),
        "METRICS_TOKEN": "right",
    }
    with override_settings(**production):
        assert client.get("/overview", HTTP_HOST=host).status_code == 400
        assert client.get("/healthz", HTTP_HOST=host).content == b"ok\n"
        assert client.get("/readyz", HTTP_HOST=host).content == b"ready\n"
        assert client.get("/metrics", HTTP_HOST=host, REMOTE_ADDR="10.1.2.3").status_code == 403
        wrong, right = ({"Authorization": f"Bearer {token}"} for token in ("wrong", "right"))
        assert client.get("/metrics", HTTP_HOST=host, REMOTE_ADDR="10.1.2.3", headers=wrong).status_code == 403
        answer = client.get("/metrics", HTTP_HOST=host, REMOTE_ADDR="10.1.2.3", headers=right)
        assert (answer.status_code, b"fnloader_batches" in answer.content) == (200, True)
