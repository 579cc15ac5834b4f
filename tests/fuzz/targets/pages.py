"""Query strings of the pages, as whoever may see everything sends them: a page, a redirect or status 400."""

from __future__ import annotations

from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.http.response import HttpResponseBase
from django.test import Client

from batches.models import Batch
from bench.lifelike import fill
from loader.models import Feed

PATHS = (
    "/search/",
    "/sample/",
    "/samples/",
    "/batches/",
    "/batches/{bid}/",
    "/feeds/",
    "/feeds/{name}/",
    "/files/",
    "/attempts/",
    "/loads/",
    "/differences/",
    "/twins/",
    "/",
    "/admin/loader/loadattempt/",
    "/admin/loader/bucketobject/",
    "/admin/batches/batchrecord/",
)
CLIENT = Client(SERVER_NAME="localhost")


def prepare() -> None:
    if "auth_user" not in connection.introspection.table_names():
        call_command("migrate", verbosity=0)
    if not Batch.objects.exists():
        fill(attempts=20, feeds=1, records=20, days=1)
    user, _ = User.objects.get_or_create(username="fuzz", is_superuser=True, is_staff=True)
    CLIENT.force_login(user)
    assert CLIENT.get("/search/").status_code == 200


def check(data: bytes) -> None:
    # The first letter is that of the page: A to P.
    path = PATHS[(data[:1] or b"A")[0] % 32 % len(PATHS)]
    batch, feed = Batch.objects.order_by("pk")[0], Feed.objects.order_by("pk")[0]
    address = path.format(bid=batch.bid, name=feed.name)
    answer: HttpResponseBase = CLIENT.get(address, QUERY_STRING=data[1:].decode("latin-1"))
    assert answer.status_code in (200, 302, 400, 404), answer.status_code
    if answer.streaming:
        b"".join(answer)
