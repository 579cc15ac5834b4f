"""One user who asks for much at once, and what others notice of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.contrib.auth.models import User
from django.http.response import HttpResponseBase
from django.test import Client
from pytest_django.fixtures import Settings

from core import throttle

pytestmark = pytest.mark.django_db
EXPENSIVE = ("/attempts/?export=csv", "/files/?export=csv", "/batches/?export=csv", "/search/?q=x")


@pytest.fixture(autouse=True)
def limits(settings: Settings) -> None:
    settings.USER_REQUESTS_AT_ONCE, settings.USER_REQUESTS_A_MINUTE = 3, 10


@pytest.fixture
def clients() -> Iterator[tuple[Client, Client]]:
    """Of two users; what other tests of this process left open does not count."""
    throttle._open.clear()
    throttle._begun.clear()
    users = [User.objects.create_superuser(name) for name in ("one", "other")]
    both = Client(), Client()
    for client, user in zip(both, users, strict=True):
        client.force_login(user)
    yield both
    for user in users:
        assert throttle._open[user.pk] == 0, "a request that ended still counts"


@pytest.mark.parametrize("address", EXPENSIVE)
def test_more_than_a_person_asks_for_in_a_minute_is_refused(clients: tuple[Client, Client], address: str) -> None:
    one, other = clients
    for _ in range(10):
        assert _read(one, address).status_code == 200
    refused = _read(one, address)
    assert refused.status_code == 429
    assert 0 < int(refused["Retry-After"]) <= 60
    assert _read(other, address).status_code == 200
    assert one.get("/attempts/?q=x").status_code == 200, "lists refresh by themselves"


def _read(client: Client, address: str) -> HttpResponseBase:
    response = client.get(address)
    response.getvalue()
    return response


def test_exports_that_are_not_read_count_until_they_are_closed(clients: tuple[Client, Client]) -> None:
    one, other = clients
    exports = [one.get("/attempts/?export=csv") for _ in range(4)]
    assert [answer.status_code for answer in exports] == [200, 200, 200, 429]
    assert one.get("/feeds/").status_code == 200
    assert _read(other, "/attempts/?export=csv").status_code == 200
    for answer in exports:
        answer.getvalue()  # Closes it at the end, as the server does when the client is gone.
    assert _read(one, "/attempts/?export=csv").status_code == 200
