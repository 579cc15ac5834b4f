"""Who may see what: every address tried as nobody, as a user without permission, as a viewer, and as staff."""

from __future__ import annotations

import importlib
import re

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.test import Client
from pytest_django.fixtures import Settings

from batches.models import Batch
from loader.models import Feed, LoadAttempt, Server

pytestmark = pytest.mark.django_db

VIEWS = ("loader.view_loadattempt", "batches.view_batch")
OPEN_TO_ALL = {"login", "healthz"}


def user(name: str, *permissions: str, staff: bool = False) -> Client:
    one = User.objects.create_user(name, is_staff=staff)
    for permission in permissions:
        app, codename = permission.split(".")
        one.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    client = Client()
    client.force_login(one)
    return client


def admin_lists() -> list[str]:
    """The list of every model in the admin, other people's too."""
    importlib.import_module("fnloader_site.urls")
    return [f"/admin/{model._meta.app_label}/{model._meta.model_name}/" for model in admin.site._registry]


def rows() -> LoadAttempt:
    server = Server.objects.create(identity="http://fn4", url="http://fn4")
    feed = Feed.objects.create(name="tb-feed", server=server, store_url="oci://b@n", store_digest="d")
    Batch.objects.create(bid="plc", rectype="collectionobject", action="CREATE")
    return LoadAttempt.objects.create(feed=feed, seqid="sample-1")


def test_nobody_sees_anything_but_the_login_and_the_word_for_monitors() -> None:
    rows()
    client = Client()
    assert client.get("/healthz").content == b"ok\n"
    assert client.get("/login/").status_code == 200
    for path in ("/", "/nowhere-at-all/x/"):
        response = client.get(path)
        assert (response.status_code, b"sample-1" in response.content) in {(302, False), (404, False)}, path
    assert client.get("/")["location"] == "/login/?next=/"
    for path in ("/admin/", *admin_lists()):
        assert re.match(r"/(admin/)?login/\?next=", client.get(path)["location"]), path
    assert client.post("/logout/")["location"] == "/login/"


def test_a_user_without_permission_is_told_whom_to_ask() -> None:
    rows()
    response = user("new").get("/")
    assert response.status_code == 403
    text = response.content.decode()
    assert "loader.view_loadattempt" in text
    assert "Log out" in text
    for secret in ("sample-1", "tb-feed", "plc", "Admin</a>"):
        assert secret not in text


@pytest.mark.parametrize(
    ("permission", "seen", "hidden"), [(VIEWS[0], "sample-1", "plc"), (VIEWS[1], "plc", "sample-1")]
)
def test_a_viewer_sees_the_half_that_is_allowed_and_no_way_into_the_admin(
    permission: str, seen: str, hidden: str
) -> None:
    rows()
    client = user("viewer", permission)
    text = client.get("/").content.decode()
    assert seen in text
    assert hidden not in text
    assert "/admin/" not in text
    assert client.get("/admin/").status_code == 302
    assert client.post("/").status_code == 405


def test_staff_get_links_only_to_what_they_may_open() -> None:
    attempt = rows()
    text = user("looks", *VIEWS, staff=True).get("/").content.decode()
    assert 'href="/admin/"' in text
    assert f"/attempts/{attempt.pk}/" in text
    assert "/feeds/tb-feed/" not in text


def test_staff_without_permission_on_a_model_do_not_reach_it() -> None:
    rows()
    client = user("looks", VIEWS[0], staff=True)
    own = "/admin/loader/loadattempt/"
    assert client.get(own).status_code == 200
    for path in admin_lists():
        assert client.get(path).status_code == (200 if path == own else 403), path


def test_every_list_of_the_admin_opens_and_searches() -> None:
    rows()
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))
    for path in admin_lists():
        assert client.get(path).status_code == 200, path
        assert client.get(path, {"q": "sample-1"}).status_code == 200, path


def test_what_machines_write_nobody_adds_changes_or_deletes_by_hand() -> None:
    attempt = rows()
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))
    for model in ("server", "bucketobject", "batchload", "loadattempt"):
        assert client.get(f"/admin/loader/{model}/add/").status_code == 403, model
    one = f"/admin/loader/loadattempt/{attempt.pk}"
    assert client.get(f"{one}/change/").status_code == 200
    assert client.post(f"{one}/change/", {"seqid": "other"}).status_code == 403
    assert client.post(f"{one}/delete/", {"post": "yes"}).status_code == 403
    assert LoadAttempt.objects.get().seqid == "sample-1"


def test_a_login_leads_to_the_page_that_was_asked_for_and_never_to_another_site(settings: Settings) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # fast, and only here
    User.objects.create_user("new", password="pw")
    login = {"username": "new", "password": "pw"}
    assert Client().post("/login/", login | {"next": "/"})["location"] == "/"
    assert Client().post("/login/", login | {"next": "https://evil.example/"})["location"] == "/"
    wrong = Client().post("/login/", login | {"password": "no"})
    assert (wrong.status_code, "correct username and password" in wrong.content.decode()) == (200, True)
