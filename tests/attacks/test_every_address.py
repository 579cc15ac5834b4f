"""Every address, method and role: nobody in, no error of ours, nothing done without its permission and token."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.urls import resolve

from batches.models import Batch
from bench.lifelike import fill
from loader.models import BucketObject, Feed, LoadAttempt
from tests.support.addresses import addresses

pytestmark = pytest.mark.django_db

METHODS = ("get", "post", "put", "patch", "delete", "options", "head", "trace")
OPEN = {"/login/", "/healthz", "/readyz", "/metrics", "/logout/", "/admin/login/"}
"""What answers nobody with more than the way to the login."""
OF_EVERYBODY = {"/password/", "/theme/", "/search/"}
"""What needs a login only: the search finds what its user may see."""
VIEWS = (
    "loader.view_loadattempt",
    "loader.view_bucketobject",
    "loader.view_feed",
    "batches.view_batch",
    "batches.view_batchrecord",
)
WRONG_QUERIES = (
    "%00",
    "q=%00",
    "q=%ED%A0%80",
    "q=" + "a" * 10_000,
    "page=-1",
    "page=1e3",
    f"page={10**30}",
    "page=%00",
    "sort=password",
    "sort=-%00",
    "sort=" + "a," * 2000,
    "at=0001-01-01T00:00",
    "at=9999-12-31T23:59",
    "from=9999-12-31&to=0001-01-01",
    "server=%00",
    "feed=%00&state=%00",
    "created_after=2026-02-30",
    "created_after=0000-00-00",
    "id=99999999999999999999",
    "pk__range=1",
    "export=%00",
    "export=csv&sort=%00",
    "o=99.-99",
    "p=-5",
    "all=&e=1",
    "_popup=%00",
    "next=//evil.example.org",
    "size_min=-1e400",
    "size_min=nan",
    "days=1e9",
    "days=-1",
)


WITH_FILTERS = {
    "/",
    "/batches/",
    "/feeds/",
    "/files/",
    "/loads/",
    "/attempts/",
    "/differences/",
    "/twins/",
    "/search/",
    "/sample/",
}
ANYWHERE = ("%00", "q=%ED%A0%80", "page=%00", "next=//evil.example.org")


@pytest.fixture
def filled() -> list[str]:
    """The addresses of a site with some rows of each kind, one row of each."""
    fill(attempts=40, feeds=3, records=60, days=1)
    return list(dict.fromkeys(addresses(1)))


def client_of(
    name: str, *permissions: str, is_staff: bool = False, is_superuser: bool = False, is_active: bool = True
) -> Client:
    one = User.objects.create_user(name, is_staff=is_staff, is_superuser=is_superuser, is_active=is_active)
    for permission in permissions:
        app, codename = permission.split(".")
        one.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    client = Client(raise_request_exception=False, enforce_csrf_checks=True)
    client.force_login(one)
    return client


def rows() -> list[object]:
    """What must not change."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM django_q_ormq")
        queued = cursor.fetchone()
    return [
        queued,
        *(list(model._default_manager.order_by("pk").values()) for model in (Batch, Feed, BucketObject, LoadAttempt)),
    ]


def test_nobody_gets_further_than_the_login(filled: list[str]) -> None:
    client = Client(raise_request_exception=False, enforce_csrf_checks=True, REMOTE_ADDR="203.0.113.9")
    before = rows()
    secrets = [
        *Feed.objects.values_list("name", flat=True),
        *map(str, LoadAttempt.objects.values_list("seqid", flat=True)[:5]),
    ]
    for path in filled:
        for method in METHODS:
            response = getattr(client, method)(path)
            assert response.status_code in {200, 302, 403, 404, 405}, (method, path, response.status_code)
            if path not in OPEN:
                assert response.status_code != 200 or method == "options", (method, path)
            text = b"".join(response.streaming_content if response.streaming else [response.content]).decode()
            assert not any(secret in text for secret in secrets if secret not in path), (method, path)
    assert rows() == before


@pytest.mark.parametrize("who", ["inactive", "unknown", "viewer", "staff", "boss"])
def test_whoever_it_is_without_a_token_nothing_is_done_and_nothing_fails(filled: list[str], who: str) -> None:
    client = {
        "inactive": lambda: client_of("a", *VIEWS, is_active=False),
        "unknown": lambda: client_of("a"),
        "viewer": lambda: client_of("a", *VIEWS),
        "staff": lambda: client_of("a", is_staff=True),
        "boss": lambda: client_of("a", is_staff=True, is_superuser=True),
    }[who]()
    before, seen = rows(), 0
    for path in filled:
        for method in METHODS if who in {"boss", "viewer"} else ("get", "post"):
            response = getattr(client, method)(path)
            assert response.status_code < 500, (method, path)
            if path in OPEN:
                continue
            seen += response.status_code == 200
            if method in {"post", "put", "patch", "delete"} and who != "inactive":
                assert response.status_code in {403, 404, 405}, (method, path, response.status_code)
            if who in {"unknown", "inactive"} and method == "get":
                assert response.status_code in {302, 403, 404} or path in OF_EVERYBODY, path
            if who in {"viewer", "unknown"} and path.startswith("/admin/") and path != "/admin/login/":
                assert response.status_code in {302, 403, 404, 405}, (method, path)
    assert rows() == before
    assert (seen > 60) == (who in {"viewer", "boss"}) or who == "viewer"


def test_with_a_token_a_viewer_does_nothing_either(filled: list[str]) -> None:
    client = client_of("a", *VIEWS)
    client.get("/password/")
    token, before = client.cookies[settings.CSRF_COOKIE_NAME].value, rows()
    for path in filled:
        if path in OPEN | OF_EVERYBODY or path == "/samples/" or path.startswith("/admin/"):
            continue
        response = client.post(path, {"csrfmiddlewaretoken": token, "confirm": "on"})
        assert response.status_code in {403, 404, 405}, (path, response.status_code)
    assert rows() == before


def test_each_address_needs_its_own_permission_whatever_else_is_granted(filled: list[str]) -> None:
    """A staff user who has all permissions but one, for each one that a page or an act asks for."""
    needed = {
        path: permission
        for path in filled
        if (permission := getattr(getattr(resolve(path).func, "view_class", None), "permission_required", None))
    }
    assert len(needed) > 30
    for missing in sorted(set(needed.values())):
        user = User.objects.create_user(missing, is_staff=True)
        app, codename = missing.split(".")
        user.user_permissions.set(Permission.objects.exclude(content_type__app_label=app, codename=codename))
        client = Client(raise_request_exception=False)
        client.force_login(user)
        before = rows()
        for path in [path for path, permission in needed.items() if permission == missing]:
            for method in METHODS:
                response = getattr(client, method)(path, {"confirm": "on"} if method == "post" else {})
                assert response.status_code in {403, 404, 405}, (missing, method, path, response.status_code)
        assert rows() == before


def test_no_wrong_query_is_an_error_of_ours(filled: list[str]) -> None:
    client = client_of("a", is_staff=True, is_superuser=True)
    # The lists of the admin: tests/site/test_hostile_requests.py.
    for path in [path for path in filled if not path.startswith("/admin/")]:
        for query in WRONG_QUERIES if path in WITH_FILTERS else ANYWHERE:
            response = client.get(f"{path}?{query}")
            assert response.status_code < 500, (path, query[:80])
            response.getvalue()  # An export occupies the connection to PostgreSQL until it is read.
            assert "evil.example.org" not in (response.get("Location") or ""), path
