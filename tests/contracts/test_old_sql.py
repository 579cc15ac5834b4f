"""The SQL of the loader before this one (reference/object-store-loader.txt) gives the right answers on our tables."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from loader.models import BatchLoad, LoadAttempt

pytestmark = pytest.mark.django_db

# As the text has them, without the schema's name; the last without its stray comma and Oracle's `from dual`.
ALL_LOADS = "select * from fn4batchload order by bl_int_id"
ALL_ATTEMPTS = "select * from fn4loadattempt"
NOT_200 = "select * FROM FN4LOADATTEMPT where not insert_status_code = 200 order by gp_int_id desc"
LAST_CHECK = "select max(check_time) from FN4BATCHLOAD"
DATES = """
select current_timestamp, rct.recent_check_time, rsi.recent_successful_insert_time from
(select max(check_time) recent_check_time from FN4BATCHLOAD) rct
cross join
(select max(insert_start_time) recent_successful_insert_time FROM FN4LOADATTEMPT where insert_status_code = 200) rsi
"""


def ask(sql: str) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def same(answer: object, when: object) -> bool:
    """Whether a time as the database says it is that one (SQLite says it as text)."""
    return str(answer)[:19] == str(when)[:19]


def test_every_query_of_the_reference_text_gives_the_right_answer() -> None:
    now = timezone.now().replace(microsecond=0)
    minute = timedelta(minutes=1)
    for back in (3, 2, 1):
        BatchLoad.objects.create(
            host_name="h", findneighbour_server_url="u", check_time=now - back * minute, batch_size=0
        )
    for sample, status, back in (
        ("a", 200, 9),
        ("b", 201, 8),
        ("c", 500, 7),
        ("d", 200, 6),
        ("e", 201, 5),
        ("f", None, 4),
    ):
        LoadAttempt.objects.create(
            seqid=sample, insert_status_code=status, insert_start_time=now - back * minute, completed=int(status != 500)
        )

    loads = ask(ALL_LOADS)
    assert [same(load["check_time"], now - back * minute) for load, back in zip(loads, (3, 2, 1), strict=True)] == [
        True
    ] * 3
    old = {"bl_int_id", "host_name", "findneighbour_server_url", "check_time", "batch_size", "number_in_server"}
    assert old <= set(loads[0])
    assert len(ask(ALL_ATTEMPTS)) == 6
    assert [row["seqid"] for row in ask(NOT_200)] == ["e", "c", "b"], "every 201 too, though those samples are in"
    ((last_check,),) = (row.values() for row in ask(LAST_CHECK))
    assert same(last_check, now - minute)
    (dates,) = ask(DATES)
    assert same(dates["recent_check_time"], now - minute)
    assert same(dates["recent_successful_insert_time"], now - 6 * minute), "a 201 does not count as an insert there"
