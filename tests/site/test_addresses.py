"""Every address of ours, tried as nobody, as a viewer and as an operator. An address without a row here fails."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone
from pytest_django import Settings

from batches.models import Batch, BatchRecord
from core.permissions import APPS, OPERATOR_PERMISSIONS, OPERATORS, VIEWERS
from loader.choices import AttemptOutcome, ObjectState
from loader.models import BucketObject, Feed, LoadAttempt, Server

pytestmark = pytest.mark.django_db

LOGIN, OPEN, SEEN, FORBIDDEN, DONE = "login", 200, 200, 403, 302
LOOK = (LOGIN, SEEN, SEEN)
ACT_ON = (LOGIN, FORBIDDEN, SEEN)
REFUSED = (LOGIN, FORBIDDEN, DONE)
"""What can't be done with a new batch: its page says why."""
FEED, FILE, BATCH = {"name": "tb"}, {"pk": 1}, {"bid": "plc"}
ROWS: dict[str, tuple[dict[str, Any], tuple[object, object, object]]] = {
    "overview": ({}, LOOK),
    "login": ({}, (OPEN, OPEN, OPEN)),
    "logout": ({}, (405, 405, 405)),
    "password": ({}, LOOK),
    "theme": ({}, (405, 405, 405)),
    "healthz": ({}, (OPEN, OPEN, OPEN)),
    "readyz": ({}, (OPEN, OPEN, OPEN)),
    "metrics": ({}, (OPEN, OPEN, OPEN)),
    "search": ({}, LOOK),
    "sample": ({}, LOOK),
    "samples": ({}, LOOK),
    "ask": (FEED, LOOK),
    "batches:batches": ({}, LOOK),
    "batches:batch": (BATCH, LOOK),
    "batches:summaries": ({}, LOOK),
    "batches:summary": (BATCH, LOOK),
    "batches:rates": ({}, LOOK),
    "batches:advice": ({}, LOOK),
    "batches:replay": (BATCH, LOOK),
    "batches:report": (BATCH, LOOK),
    "batches:corrections": (BATCH, LOOK),
    "batches:record": (BATCH | {"row": 1}, LOOK),
    "batches:tags": (BATCH, ACT_ON),
    "batches:cleared": (BATCH | {"name": "cleared_20260101T000000000000Z.csv"}, (LOGIN, 404, 404)),
    "batches:check": (BATCH, REFUSED),
    "batches:queue": (BATCH, REFUSED),
    "batches:unqueue": (BATCH, REFUSED),
    "batches:resume_queue": (BATCH, REFUSED),
    "batches:rollback_ingest": (BATCH, REFUSED),
    "batches:rollback_upload": (BATCH, REFUSED),
    "batches:clear": (BATCH, REFUSED),
    "batches:clear_retried": (BATCH, REFUSED),
    "batches:archive": (BATCH, ACT_ON),
    "batches:unarchive": (BATCH, ACT_ON),
    "loader:feeds": ({}, LOOK),
    "loader:feed": (FEED, LOOK),
    "loader:test": (FEED, (LOGIN, FORBIDDEN, 405)),
    "loader:pause": (FEED, ACT_ON),
    "loader:resume": (FEED, ACT_ON),
    "loader:load": (FEED, ACT_ON),
    "loader:reconcile": (FEED, ACT_ON),
    "loader:retry": (FEED, ACT_ON),
    "loader:acknowledge": (FEED, ACT_ON),
    "loader:files": ({}, LOOK),
    "loader:file": (FILE, LOOK),
    "loader:again": (FILE, ACT_ON),
    "loader:accept": (FILE, ACT_ON),
    "loader:loads": ({}, LOOK),
    "loader:findings": ({}, LOOK),
    "loader:twins": ({}, LOOK),
    "loader:compare": ({}, ACT_ON),
    "loader:attempts": ({}, LOOK),
    "loader:attempt": (FILE, LOOK),
}
"""By name of the address: its parts, and what GET gives nobody, a viewer and an operator."""
ACTS = [name for name, (_, statuses) in ROWS.items() if statuses[1] == FORBIDDEN]


@pytest.fixture(autouse=True)
def rows() -> None:
    server = Server.objects.create(identity="http://127.0.0.1:1", url="http://127.0.0.1:1")
    feed = Feed.objects.create(name="tb", server=server, store_url="file:///nowhere", store_digest="d")
    now = timezone.now()
    BucketObject.objects.create(
        pk=1, feed=feed, name="s.fasta", version="v", etag="e", size=1, created=now, first_seen=now, seqid="s",
        state=ObjectState.REJECTED, reason="empty", done_at=now,
    )  # fmt: skip
    LoadAttempt.objects.create(pk=1, feed=feed, seqid="s", outcome=AttemptOutcome.REJECTED, bucket_object_id=1)
    batch = Batch.objects.create(bid="plc", rectype="collectionobject", action="CREATE")
    BatchRecord.objects.create(batch=batch, row=1, upload_outcome="skip")


def logged_in(group: str) -> Client:
    one = User.objects.create_user(group)
    one.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(one)
    return client


def names(patterns: Iterable[URLPattern | URLResolver], space: str = "") -> Iterator[str]:
    for one in patterns:
        if isinstance(one, URLResolver):
            if one.namespace != "admin":
                yield from names(one.url_patterns, f"{space}{one.namespace}:" if one.namespace else space)
        else:
            yield f"{space}{one.name}"


def got(client: Client, name: str) -> object:
    response = client.get(reverse(name, kwargs=ROWS[name][0]))
    return LOGIN if response.status_code == 302 and response["location"].startswith("/login/") else response.status_code


def test_every_address_of_ours_has_a_row_here() -> None:
    assert sorted(names(get_resolver().url_patterns)) == sorted(ROWS)


@pytest.mark.parametrize("place", [0, 1, 2], ids=["nobody", "viewer", "operator"])
def test_who_may_see_what(place: int) -> None:
    client = (Client(), logged_in(VIEWERS), logged_in(OPERATORS))[place]
    assert {name: got(client, name) for name in ROWS} == {name: row[1][place] for name, row in ROWS.items()}


@pytest.mark.parametrize("group", ["", VIEWERS])
def test_nobody_acts_without_permission(group: str) -> None:
    client = logged_in(group) if group else Client()
    for name in ACTS:
        response = client.post(reverse(name, kwargs=ROWS[name][0]), {"reason": "mischief"})
        assert response.status_code == (403 if group else 302), name
    assert Feed.objects.get().paused_at is None
    assert BucketObject.objects.get().acknowledged_at is None


def test_forms_from_elsewhere_are_refused() -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.create_superuser("boss"))
    for name in ACTS:
        assert client.post(reverse(name, kwargs=ROWS[name][0]), {"reason": "x"}).status_code == 403, name


def test_viewers_see_every_row_of_ours_and_operators_may_act() -> None:
    ours = Permission.objects.filter(content_type__app_label__in=APPS)
    seen = Group.objects.get(name=VIEWERS).permissions
    missing = set(ours.filter(codename__startswith="view_")) - set(seen.all())
    assert not missing, "the migration of a new model calls core.permissions.make_groups"
    acts = {str(code) for code in OPERATOR_PERMISSIONS}
    more = Group.objects.get(name=OPERATORS).permissions.exclude(pk__in=seen.all())
    assert {f"{one.content_type.app_label}.{one.codename}" for one in more} == acts


@pytest.fixture
def quick_passwords(settings: Settings) -> None:
    """Hashes that cost nothing: ten tries with Django's own take seconds."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.mark.usefixtures("quick_passwords")
def test_guessing_a_password_ends_after_ten_tries() -> None:
    User.objects.create_user("morgan", password="right-and-long")
    client = Client()
    statuses = [
        client.post("/login/", {"username": "morgan", "password": f"wrong{number}"}).status_code for number in range(10)
    ]
    assert statuses[:9] == [200] * 9
    assert statuses[9] == 429
    locked = client.post("/login/", {"username": "morgan", "password": "right-and-long"})
    assert locked.status_code == 429
    assert "Too many wrong passwords" in locked.content.decode()
    assert client.post("/login/", {"username": "alex", "password": "x"}).status_code == 200


@pytest.mark.usefixtures("quick_passwords")
def test_a_password_is_changed_by_who_knows_the_old_one() -> None:
    User.objects.create_user("morgan", password="right-and-long")
    client = Client()
    client.post("/login/", {"username": "morgan", "password": "right-and-long"})
    new = {"new_password1": "kangaroo-9-lamp", "new_password2": "kangaroo-9-lamp"}
    assert client.post("/password/", {"old_password": "wrong", **new}).status_code == 200
    assert client.post("/password/", {"old_password": "right-and-long", **new}).status_code == 302
    assert User.objects.get().check_password("kangaroo-9-lamp")
