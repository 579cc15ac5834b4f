"""Text from outside reaches the database without NUL and lone surrogates, and no longer than its column."""

from __future__ import annotations

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.db import connection

from core.models import JobRun
from core.stored_text import storable

DIRTY, CLEAN = "a\0b\ud800c\N{DNA DOUBLE HELIX}", "a\ufffdb\ufffdc\N{DNA DOUBLE HELIX}"


@pytest.mark.django_db
def test_every_way_into_a_table_stores_what_the_database_takes() -> None:
    saved = JobRun.objects.create(name="saved", said=DIRTY)
    JobRun.objects.bulk_create([JobRun(name="many", said=DIRTY), JobRun(name="others", said=DIRTY)])
    JobRun.objects.filter(pk=saved.pk).update(error=DIRTY)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE fnloader_site_jobrun SET host = %s", [DIRTY])
        cursor.executemany("UPDATE fnloader_site_jobrun SET said = %s WHERE name = %s", [(DIRTY, "many")])
    assert set(JobRun.objects.values_list("said", "host")) == {(CLEAN, CLEAN)}
    assert JobRun.objects.get(error=DIRTY) == saved, "a question is cleaned, too"
    assert JobRun.objects.filter(name__among=["saved", DIRTY]).count() == 1


@pytest.mark.django_db
def test_tables_of_other_packages_are_no_exception() -> None:
    user = User.objects.create(username=DIRTY)
    LogEntry.objects.create(user=user, action_flag=1, object_repr=DIRTY, change_message=DIRTY)
    assert LogEntry.objects.values_list("user__username", "object_repr", "change_message").get() == (CLEAN,) * 3


@pytest.mark.django_db
def test_sentences_are_cut_where_they_are_written() -> None:
    row = JobRun.objects.create(name="saved", said="x" * 1000, error="é" * 2000)
    JobRun.objects.filter(pk=row.pk).update(host="short")
    row.refresh_from_db()
    assert (row.said, row.error) == ("x" * 1000, "é" * 999 + "…")
    JobRun.objects.filter(pk=row.pk).update(said="y" * 1001)
    JobRun.objects.bulk_create([JobRun(name="other", said="z" * 5000)])
    assert [len(said) for said in JobRun.objects.order_by("name").values_list("said", flat=True)] == [1000, 1000]


def test_good_text_stays_as_it_is() -> None:
    text = "Résumé \N{DNA DOUBLE HELIX} \x01\n"
    assert storable(text) is text or storable(text) == text
