"""Who may set what names an address: a permission of its own, for which no form of operators or staff is a way round."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission, User
from django.test import Client

from batches.models import Batch
from core.digests import digest
from core.permissions import OPERATORS, VIEWERS
from loader.models import Feed, Server

pytestmark = pytest.mark.django_db

ADD = "/admin/loader/feed/add/"
EVIL = "http://evil.example.org"
OTHERS: dict[str, Callable[[], User]] = {
    "viewer": lambda: made(VIEWERS),
    "operator": lambda: made(OPERATORS),
    "staff": lambda: made(""),
    "all other permissions": lambda: made("", *Permission.objects.exclude(codename="set_addresses")),
}
FEW: dict[str, Callable[[], User]] = {
    "permission": lambda: made(OPERATORS, Permission.objects.get(codename="set_addresses")),
    "permission only": lambda: made("", Permission.objects.get(codename="set_addresses")),
    "superuser": lambda: User.objects.create_superuser("boss"),
}


def made(group: str, *permissions: Permission) -> User:
    user = User.objects.create_user("morgan", is_staff=True)
    user.groups.set(Group.objects.filter(name=group))
    user.user_permissions.set(permissions)
    return user


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def form(**changed: object) -> dict[str, Any]:
    """What the admin's forms of a feed send, and what they don't."""
    fields = {
        "name": "new",
        "server_url": EVIL,
        "store_url": "s3://evil",
        "header_prefix": "X|",
        "endings": ".fasta",
        "sample_id_rule": Feed._meta.get_field("sample_id_rule").default,
        "interval": "7",
        "largest": "1000",
        "refusals_limit": "10",
        "oldest_limit": "10",
        "reconcile_lost": "0",
        "store_digest": "evil",
        "identity": EVIL,
        "url": EVIL,
    }
    return fields | changed


def addresses() -> list[Any]:
    return [
        *Feed.objects.order_by("pk").values_list("server", "store_url", "store_digest"),
        *Server.objects.order_by("pk").values_list("url", "identity"),
        *Batch.objects.values_list("store_url"),
    ]


@pytest.fixture
def feed(tmp_path: Path) -> Feed:
    Server.objects.create(url=EVIL, identity=EVIL)
    Batch.objects.create(bid="plc", rectype="collectionobject", action="CREATE", store_url="s3://bucket")
    server, store = Server.objects.create(url="http://fn4-old", identity="http://fn4-old"), (tmp_path / "tb").as_uri()
    return Feed.objects.create(name="tb", server=server, store_url=store, store_digest=digest(store))


@pytest.mark.parametrize("who", OTHERS)
def test_nobody_else_adds_a_feed(feed: Feed, who: str) -> None:
    client, before = client_of(OTHERS[who]()), addresses()
    assert client.get(ADD).status_code == 403
    assert client.post(ADD, form()).status_code == 403
    assert "/admin/loader/feed/add/" not in client.get("/admin/").content.decode()
    assert addresses() == before


@pytest.mark.parametrize("who", [*OTHERS, *FEW])
def test_nobody_changes_the_addresses_of_what_is_there(feed: Feed, who: str) -> None:
    client, before = client_of((OTHERS | FEW)[who]()), addresses()
    evil, batch = Server.objects.get(url=EVIL), Batch.objects.get()
    path = f"/admin/loader/feed/{feed.pk}/change/"
    text = client.get(path).content.decode()
    for field in ("server", "server_url", "store_url", "store_digest"):
        assert f'name="{field}"' not in text
    posted = client.post(path, form(name="tb", server=evil.pk))
    feed.refresh_from_db()
    assert (posted.status_code, feed.interval) in {(302, 7), (403, 180)}
    assert feed.interval == (7 if who in {"operator", "all other permissions", "permission", "superuser"} else 180)
    client.post(f"/admin/loader/server/{feed.server_id}/change/", form())
    client.post(f"/admin/batches/batch/{batch.pk}/change/", form(notes="x", bid="plc"))
    client.post("/admin/loader/feed/", {"action": "pause", "_selected_action": feed.pk, **form()})
    assert addresses() == before


@pytest.mark.parametrize("who", FEW)
def test_who_may_adds_a_feed_as_the_command_does(feed: Feed, who: str) -> None:
    user = FEW[who]()
    client = client_of(user)
    assert 'name="server_url"' in client.get(ADD).content.decode()
    url = Path(feed.store_url.removeprefix("file://")).parent.as_uri()
    assert client.post(ADD, form(server_url="HTTP://Fn4:80/", store_url=url)).status_code == 302
    new = Feed.objects.select_related("server").get(name="new")
    assert (new.server.url, new.server.identity, new.store_url) == ("http://fn4", "http://fn4", url)
    assert (new.interval, new.header_prefix, new.scheduled) == (7, "X|", False)
    assert new.store_digest not in {"", "evil"}
    assert LogEntry.objects.get(user=user, object_id=str(new.pk)).is_addition()


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"server_url": "file:///etc/passwd"}, "is not the URL of a server"),
        ({"server_url": "http://me:secret@fn4"}, "contains a password"),
        ({"server_url": "javascript:alert(1)"}, "is not the URL of a server"),
        ({"store_url": "file:///etc"}, "FILE_STORES"),
        ({"store_url": "http://evil.example.org"}, "is not a valid store URL"),
        ({"name": "tb"}, "already exists"),
        ({"endings": "/"}, ""),
    ],
)
def test_what_the_command_refuses_the_form_refuses(feed: Feed, changed: dict[str, str], why: str) -> None:
    client, before = client_of(FEW["superuser"]()), addresses()
    response = client.post(ADD, form(**changed))
    assert response.status_code == 200
    assert why in response.content.decode().replace("&#x27;", "'")
    assert addresses() == before


def test_no_group_has_the_permission(feed: Feed) -> None:
    assert not Group.objects.filter(permissions__codename="set_addresses").exists()
    assert Permission.objects.get(codename="set_addresses").name == "May set addresses of servers and stores"
