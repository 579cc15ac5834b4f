"""When a session ends, and that nobody can prepare one for another."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.conf import settings
from django.contrib.auth.models import Group, Permission, User
from django.contrib.sessions.models import Session
from django.test import Client
from pytest_django.fixtures import Settings

from core.permissions import VIEWERS

pytestmark = pytest.mark.django_db

PASSWORD, NEW = "correct horse battery", "staple horse battery"
SESSION = settings.SESSION_COOKIE_NAME


@pytest.fixture(autouse=True)
def quick_hashes(settings: Settings) -> None:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def user() -> User:
    one = User.objects.create_user("morgan", password=PASSWORD)
    one.groups.add(Group.objects.get(name=VIEWERS))
    return one


def log_in(client: Client, name: str = "morgan", password: str = PASSWORD) -> Client:
    assert client.post("/login/", {"username": name, "password": password}).status_code == 302
    return client


def is_in(client: Client) -> bool:
    """Whether a page opens; if not, it must lead to the login and nowhere else."""
    response = client.get("/batches/")
    if response.status_code == 200:
        return True
    assert response["location"] == "/login/?next=/batches/"
    return False


def by_the_page(client: Client, _user: User) -> None:
    form = {"old_password": PASSWORD, "new_password1": NEW, "new_password2": NEW}
    assert client.post("/password/", form)["location"] == "/"


def by_the_admin(_client: Client, user: User) -> None:
    User.objects.create_superuser("boss", password=PASSWORD)
    boss = log_in(Client(), "boss")
    form = {"password1": NEW, "password2": NEW, "usable_password": "true"}
    assert boss.post(f"/admin/auth/user/{user.pk}/password/", form).status_code == 302


@pytest.mark.parametrize("change", [by_the_page, by_the_admin])
def test_a_changed_password_ends_the_sessions_of_all_other_browsers(
    user: User, change: Callable[[Client, User], None]
) -> None:
    here, there = log_in(Client()), log_in(Client())
    key = here.cookies[SESSION].value
    change(here, user)
    assert is_in(here) == (change is by_the_page)
    assert not is_in(there)
    assert not is_in(there), "for good"
    stolen = Client()
    stolen.cookies[SESSION] = key
    assert not is_in(stolen), "the cookie of before is worth nothing, here neither"
    assert is_in(log_in(Client(), password=NEW))


@pytest.mark.parametrize(
    "act", [lambda user: User.objects.filter(pk=user.pk).update(is_active=False), lambda user: user.delete()]
)
def test_who_is_made_inactive_or_removed_is_out_at_the_next_request(user: User, act: Callable[[User], object]) -> None:
    client = log_in(Client())
    assert is_in(client)
    act(user)
    assert not is_in(client)
    assert client.post("/login/", {"username": "morgan", "password": PASSWORD}).status_code == 200


def test_a_permission_taken_away_is_gone_at_the_next_request(user: User) -> None:
    client, admin = log_in(Client()), "/admin/auth/user/"
    user.user_permissions.add(Permission.objects.get(codename="view_user"))
    User.objects.filter(pk=user.pk).update(is_staff=True)
    assert (client.get("/batches/").status_code, client.get(admin).status_code) == (200, 200)
    user.groups.clear()
    assert client.get("/batches/").status_code == 403
    user.user_permissions.clear()
    assert client.get(admin).status_code == 403
    User.objects.filter(pk=user.pk).update(is_superuser=True)
    assert (client.get("/batches/").status_code, client.get(admin).status_code) == (200, 200)
    User.objects.filter(pk=user.pk).update(is_staff=False)
    assert client.get(admin).status_code == 302
    User.objects.filter(pk=user.pk).update(is_superuser=False)
    assert client.get("/batches/").status_code == 403


def test_a_logout_ends_the_session_for_whoever_has_its_cookie(user: User) -> None:
    client, thief = log_in(Client()), Client()
    thief.cookies[SESSION] = client.cookies[SESSION].value
    assert is_in(thief)
    client.post("/logout/")
    assert not is_in(client)
    assert not is_in(thief)
    assert not Session.objects.exists()


def test_a_logout_needs_a_form_of_ours(user: User) -> None:
    client = log_in(Client(enforce_csrf_checks=False))
    assert client.get("/logout/").status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = client.cookies
    assert strict.post("/logout/").status_code == 403
    assert is_in(client)


def test_the_cookies_are_new_after_a_login(user: User) -> None:
    attacker = Client()
    attacker.get("/login/")
    session = attacker.session
    session["planted"] = True
    session.save()
    planted = str(session.session_key)
    attacker.cookies[SESSION] = planted
    victim = Client()
    victim.cookies[SESSION] = planted
    before = victim.get("/login/").cookies["csrftoken"].value
    log_in(victim)
    assert victim.cookies[SESSION].value != planted
    assert victim.cookies["csrftoken"].value != before
    assert is_in(victim)
    assert not is_in(attacker)
    assert not Session.objects.filter(pk=planted).exists()


def test_a_login_as_somebody_else_keeps_nothing_of_the_session(user: User) -> None:
    User.objects.create_user("other", password=PASSWORD)
    client = log_in(Client())
    session = client.session
    session["of"] = "morgan"
    session.save()
    first = session.session_key
    log_in(client, "other")
    assert client.cookies[SESSION].value != first
    assert "of" not in client.session
    assert not Session.objects.filter(pk=first).exists()


def test_a_session_that_nobody_made_is_none(user: User) -> None:
    for value in ("a" * 32, "..", "x" * 5000, user.username):
        client = Client()
        client.cookies[SESSION] = value
        assert not is_in(client)
        log_in(client)
        assert client.cookies[SESSION].value != value
