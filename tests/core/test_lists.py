"""List pages: each opens with few queries, filters, sorts, pages, and exports exactly what is filtered."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import F
from django.test import Client
from django.test.utils import CaptureQueriesContext

from core.lists import csv_export, paginator, views
from core.lists.csv_expressions import safe_text
from loader.choices import AttemptOutcome, ObjectState
from loader.models import BucketObject, Feed, LoadAttempt, Server

pytestmark = pytest.mark.django_db
WHEN = datetime(2026, 1, 31, 18, 25, 3, tzinfo=UTC)
LISTS = {"/batches/": 6, "/feeds/": 6, "/attempts/": 7, "/files/": 7, "/loads/": 7, "/differences/": 7, "/twins/": 8}
"""Every list, and the most queries that it may take: session, user, permissions, count, rows, choices of its filters."""


@pytest.fixture
def boss() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))
    return client


@pytest.fixture
def rows() -> Feed:
    """Two feeds, four attempts, three files."""
    server = Server.objects.create(identity="http://fn4", url="http://fn4", number_in_server=1234)
    first, _ = (
        Feed.objects.create(name=name, server=server, store_url=f"oci://{name}@n", store_digest=name, checked_at=WHEN)
        for name in ("covid", "tb")
    )
    for number in range(4):
        LoadAttempt.objects.create(
            feed=first,
            server=server,
            findneighbour_server_url="http://fn4",
            seqid=f"s{number}",
            file_name=f"in/s{number}.fasta",
            fn4id=f"s{number}",
            outcome=AttemptOutcome.REJECTED if number == 3 else AttemptOutcome.INSERTED,
            insert_status_code=None if number == 3 else 200 + number,
            bucket_read_start_time=WHEN + timedelta(minutes=number),
            message='=HYPERLINK("x")' if number == 3 else None,
            parse_status="Failed, empty" if number == 3 else "Success",
            completed=1,
        )
        BucketObject.objects.create(
            feed=first,
            name=f"in/s{number}.fasta",
            version=f"v{number}",
            etag="e",
            size=1,
            created=WHEN,
            first_seen=WHEN,
            seqid=f"s{number}",
            state=ObjectState.WAITING if number < 2 else ObjectState.REJECTED,
        )
    return first


def words(client: Client, url: str) -> str:
    html = client.get(url).content.decode().partition("<main")[2]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def exported(client: Client, url: str) -> list[str]:
    response = client.get(url, headers={"accept": "*/*"})
    assert response["Content-Type"] == "text/csv; charset=utf-8"
    content = b"".join(response.streaming_content)  # type: ignore[attr-defined]
    assert content.startswith(csv_export.BOM), "a double click opens it as UTF-8"
    return str(content.decode("utf-8-sig")).split("\n")


@pytest.mark.parametrize("url", LISTS)
def test_a_list_takes_as_few_queries_for_many_rows_as_for_none(boss: Client, rows: Feed, url: str) -> None:
    boss.get(url)
    with CaptureQueriesContext(connection) as queries:
        assert boss.get(url).status_code == 200
    asked = [query["sql"] for query in queries]
    assert len(asked) <= LISTS[url], "\n".join(asked)
    assert all("LIMIT" in sql for sql in asked if "COUNT(*)" in sql), asked


@pytest.mark.parametrize("url", LISTS)
def test_an_empty_list_suggests_the_next_step(boss: Client, url: str) -> None:
    assert "<code>python manage.py" in boss.get(url).content.decode()
    assert "No matches" in words(boss, url + "?q=nothing&when=hour&host=nowhere&feed=")


@pytest.mark.parametrize("url", LISTS)
@pytest.mark.parametrize(
    "query", ["page=99999", "page=x", "sort=nothing", "per_page=100000", "since=yesterday", "feed=9"]
)
def test_invalid_parameters_are_not_an_error(boss: Client, rows: Feed, url: str, query: str) -> None:
    assert boss.get(f"{url}?{query}").status_code == 200


def test_feeds_show_what_waits_and_what_was_refused(boss: Client, rows: Feed) -> None:
    text = words(boss, "/feeds/")
    assert "covid OK 2 2026-01-31 18:25 0 – 2 1,234" in text  # noqa: RUF001 - en dashes
    assert "tb OK 0 – 0 – 0 1,234" in text  # noqa: RUF001
    assert words(boss, "/feeds/?sort=-waiting").index("covid") < words(boss, "/feeds/?sort=-waiting").index("tb OK")
    assert "tb OK" not in words(boss, "/feeds/?q=co")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("q=s1", "1"),
        ("q=in/s2.fasta", "2"),
        ("outcome=rejected", "3"),
        ("status=202", "2"),
        ("wrong=1", "2"),
        ("parsed=failed", "3"),
        ("parsed=success&status=200", "0"),
        ("since=2026-01-31T18:28:00", "3"),
        ("until=2026-01-31T18:26:00", "0"),
        ("server=http://fn4&completed=1", "0123"),
        ("when=hour", ""),
    ],
)
def test_attempts_are_filtered(boss: Client, rows: Feed, query: str, expected: str) -> None:
    assert set(re.findall(r'<th scope="row"[^>]*>.*?s(\d)\b', boss.get(f"/attempts/?{query}").content.decode())) == set(
        expected
    )


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("q=s", "1 to 5 of 5"),
        ("q=s1", "1 to 1 of 1"),
        ("q=s&feed=1000", "Invalid filter"),
        ("q=s&outcome=inserted", "1 to 3 of 3"),
        ("q=in/s", "No matches"),
        ("wrong=1", "1 to 3 of 3"),
        ("q=s&wrong=1", "1 to 2 of 2"),
    ],
)
def test_a_row_is_counted_once_whichever_of_its_names_is_found(
    boss: Client, rows: Feed, query: str, expected: str
) -> None:
    LoadAttempt.objects.create(fn4id="s9", insert_status_code=500)
    LoadAttempt.objects.create(seqid="other", insert_status_code=100)
    assert expected in words(boss, f"/attempts/?{query}")


def test_counting_ends_with_the_part_that_is_enough(boss: Client, rows: Feed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paginator, "MAX_COUNT", 3)
    with CaptureQueriesContext(connection) as queries:
        assert "of more than 3" in words(boss, "/attempts/?q=s")
    assert len([query for query in queries if "COUNT(*)" in query["sql"]]) == 1


@pytest.mark.parametrize("table", ["loadattempt", "bucketobject"])
def test_the_admin_finds_a_sample_by_index(boss: Client, rows: Feed, table: str) -> None:
    with CaptureQueriesContext(connection) as queries:
        assert "1 result" in boss.get(f"/admin/loader/{table}/?q=s1").content.decode()
    asked = [query["sql"] for query in queries if "'s1'" in query["sql"]]
    assert asked, "the index was used"
    assert not [sql for sql in asked if "UPPER" in sql or "LIKE" in sql]


def test_filters_in_use_are_shown_and_can_be_removed_one_by_one(boss: Client, rows: Feed) -> None:
    html = boss.get("/attempts/?q=s&outcome=inserted&page=1").content.decode()
    assert 'href="/attempts/?outcome=inserted"' in html
    assert 'href="/attempts/?q=s"' in html


def test_the_export_of_attempts_is_exactly_this_file(boss: Client, rows: Feed) -> None:
    keys = dict(LoadAttempt.objects.values_list("seqid", "pk"))
    lines = exported(boss, "/attempts/?export=csv&status=200")
    assert lines[0] == (
        "seqid,outcome,insert_status_code,bucket_read_start_time,message,feed,host_name,gp_int_id,findneighbour_server_url,"
        "file_name,fn4id,parse_status,len_seq,first_128_chars,batch_start_time,batch_sample_number,batch_size,"
        "bucket_read_end_time,insert_start_time,insert_end_time,completed,lock_waits"
    )
    assert lines[1:] == [
        f"s0,inserted,200,2026-01-31T18:25:03.000Z,,covid,,{keys['s0']},http://fn4,in/s0.fasta,s0,Success,,,,,,,,,1,",
        "",
    ]


def test_the_export_follows_filters_and_order_over_all_pages(
    boss: Client, rows: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "ROWS_PER_PAGE", 2)
    assert "1 to 2 of 4" in words(boss, "/attempts/")
    lines = exported(boss, "/attempts/?export=csv&sort=seqid&page=2")
    assert [line.split(",")[0] for line in lines] == ["seqid", "s0", "s1", "s2", "s3", ""]


def test_a_spreadsheet_runs_nothing_of_what_was_exported(boss: Client, rows: Feed) -> None:
    dangerous = ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "\nx", *(f"{sign}1" for sign in "\uff1d\uff0b\uff0d\uff20")]
    for text in dangerous:
        LoadAttempt.objects.create(seqid="evil", message=text)
    LoadAttempt.objects.create(seqid="good", message='a="b", c')
    whole = "\n".join(exported(boss, "/attempts/?export=csv&sort=seqid"))
    for text in dangerous:
        quoted = f'"\'{text}"' if text[0] in "\r\n" else f"'{text}"
        assert f",{quoted}," in whole
    assert ',"a=""b"", c",' in whole


@pytest.mark.parametrize(
    "text",
    [
        *(
            "00123",
            "0123456789",
            "1234567890123456",
            "1E5",
            "12e3",
            "1.10",
            "1,234",
            "1-2",
            "1/2",
            "01.02.2026",
            ".5",
            "(5)",
            "$5",
        ),
        *(
            "2026-01-31",
            "12:30",
            "5%",
            "1 a",
            "3 PM",
            "mar1",
            "Mar-21",
            "1-Mar",
            "SEPT2",
            "1 December 2026",
            "TRUE",
            "false",
            "1e",
        ),
        *("1-Mar-2026 12:30", "1.2.3"),
    ],
)
def test_an_identifier_that_a_spreadsheet_would_change_is_kept(boss: Client, rows: Feed, text: str) -> None:
    LoadAttempt.objects.create(seqid="evil", fn4id=text)
    line = next(line for line in exported(boss, "/attempts/?export=csv&sort=seqid") if line.startswith("evil"))
    quoted = f"'{text}"
    assert (f'"{quoted}"' if "," in text else quoted) in line
    assert safe_text(text) == quoted


@pytest.mark.parametrize(
    "text",
    [
        "123",
        "0",
        "999999999999999",
        "s1",
        "A67.1",
        "12a-b",
        "marble1x",
        "1 marble run",
        "x00123",
        "Decoy",
        "e5",
        "é1",
        "",
    ],
)
def test_any_other_text_is_exported_as_it_is(boss: Client, rows: Feed, text: str) -> None:
    LoadAttempt.objects.create(seqid="good", fn4id=text)
    line = next(line for line in exported(boss, "/attempts/?export=csv&sort=seqid") if line.startswith("good"))
    assert f",{text}," in line
    assert "'" not in line
    assert safe_text(text) == text


def test_the_file_is_named_with_content_and_date(boss: Client, rows: Feed) -> None:
    response = boss.get("/attempts/?export=csv")
    assert b"".join(response.streaming_content)  # type: ignore[attr-defined]
    assert re.fullmatch(r'attachment; filename="load-attempts-\d{4}-\d\d-\d\d\.csv"', response["Content-Disposition"])


def test_a_client_that_hangs_up_leaves_no_query_behind(rows: Feed) -> None:
    lines = csv_export.csv_lines(LoadAttempt.objects.order_by("pk"), [("seqid", F("seqid"))])
    assert next(lines) == b"seqid\n"
    assert next(lines).startswith(b"s0\n")
    lines.close()
    assert Feed.objects.count() == 2


def test_a_row_that_fails_later_breaks_the_download_and_one_that_fails_first_is_an_error(
    boss: Client, rows: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(after: int) -> Iterator[bytes]:
        for number in range(after):
            yield b"%d\n" % number
        raise RuntimeError("the database went away")

    for after, begins in ((0, False), (1, False), (5, True)):
        monkeypatch.setattr(csv_export, "csv_lines", lambda *_, after=after: failing(after))
        boss.raise_request_exception = False
        response = boss.get("/attempts/?export=csv")
        assert (response.status_code == 200) == begins
    with pytest.raises(RuntimeError, match="went away"):
        b"".join(response.streaming_content)  # type: ignore[attr-defined]


def test_a_long_list_has_no_total_and_says_where_it_ends(
    boss: Client, rows: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paginator, "MAX_COUNT", 3)
    monkeypatch.setattr(views, "ROWS_PER_PAGE", 2)
    assert "1 to 2 of more than 3" in words(boss, "/attempts/")
    assert "3 to 3 of more than 3 The list ends here" in words(boss, "/attempts/?page=2")
    assert "1 to 2 of 3" in words(boss, "/attempts/?outcome=inserted")


def test_times_are_shown_and_read_in_the_zone_of_the_browser(boss: Client, rows: Feed) -> None:
    boss.cookies["zone"] = "Asia%2FTokyo"
    text = words(boss, "/attempts/?since=2026-02-01T03:28:00")
    assert "2026-02-01 03:28:03" in text
    assert "s1 " not in text
    boss.cookies["zone"] = "../../etc/passwd"
    assert "2026-01-31 18:28:03" in words(boss, "/attempts/")


@pytest.mark.parametrize("name", ["Asia/Calcutta", "US/Eastern", "Asia/Saigon", "America/Buenos_Aires", "Europe/Kyiv"])
def test_zones_that_browsers_call_by_old_names_are_known(boss: Client, rows: Feed, name: str) -> None:
    boss.cookies["zone"] = name.replace("/", "%2F")
    html = boss.get("/attempts/").content.decode()
    assert f'data-zone="{name}"' in html
    if name == "Asia/Calcutta":
        assert "2026-01-31 23:55:03" in html


def test_zones_do_not_depend_on_the_machine() -> None:
    code = "from zoneinfo import ZoneInfo; print(ZoneInfo('Asia/Calcutta'), ZoneInfo('US/Eastern'))"
    environment = {"PYTHONTZPATH": "", "PATH": "/usr/bin:/bin"}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["Asia/Calcutta", "US/Eastern"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("since=2026-10-25T02:30", "2026-10-25 02:30 occurs twice in Europe/Berlin, as clocks change; use a time"),
        ("until=2026-10-25T02:30", "2026-10-25 02:30 occurs twice in Europe/Berlin, as clocks change; use a time"),
        ("since=2026-03-29T02:30", "2026-03-29 02:30 does not exist in Europe/Berlin, as clocks change; use a time"),
        ("since=yesterday", "Not a valid time; use 2026-01-31 18:25."),
        ("since=0001-01-01T00:00", "Not a valid time; use 2026-01-31 18:25."),
        ("until=9999-12-31T23:59", "Not a valid time; use 2026-01-31 18:25."),
    ],
)
@pytest.mark.parametrize("url", ["/attempts/", "/batches/", "/loads/"])
def test_a_filter_that_is_wrong_is_one_message_and_no_export(
    boss: Client, rows: Feed, url: str, query: str, message: str
) -> None:
    boss.cookies["zone"] = "Europe%2FBerlin"
    page = boss.get(f"{url}?{query}")
    text = unescape(page.content.decode())
    assert (page.status_code, text.count(message)) == (200, 1)
    assert "Invalid filter" in text
    assert "python manage.py" not in text.partition("<main")[2], "nothing of what to do with an empty list"
    for export in ("csv", "batches"):
        refused = boss.get(f"{url}?{query}&export={export}")
        assert (refused.status_code, refused["Content-Type"]) == (400, "text/plain; charset=utf-8")
        assert refused.content.decode().startswith("Not exported: invalid filter.\n")
        assert message in refused.content.decode()


def test_a_time_with_an_offset_is_never_in_doubt(boss: Client, rows: Feed) -> None:
    boss.cookies["zone"] = "Europe%2FBerlin"
    assert len(exported(boss, "/attempts/?export=csv&since=2026-10-25T02:30%2B02:00")) == 2


def test_light_and_dark_are_chosen_kept_and_forgotten(boss: Client) -> None:
    response = boss.post("/theme/", {"theme": "dark", "next": "/feeds/"})
    assert response["location"] == "/feeds/"
    assert 'data-theme="dark"' in boss.get("/feeds/").content.decode()
    assert boss.post("/theme/", {"theme": "", "next": "https://evil.example/"})["location"] == "/"
    assert "data-theme" not in boss.get("/feeds/").content.decode()


def test_our_pages_allow_no_script_but_our_own_files(boss: Client) -> None:
    policy = boss.get("/feeds/")["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy + ";"
    assert "unsafe" not in policy
    assert "http" not in policy
