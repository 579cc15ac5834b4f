"""Guessing names and passwords: whom it locks out, and what the time of an answer tells."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.hashers import MD5PasswordHasher
from django.contrib.auth.models import User
from django.test import Client
from pytest_django.fixtures import Settings

pytestmark = pytest.mark.django_db

PASSWORD = "correct horse battery"
WRONG, LIMIT = "a guess", 10
PROXY, ATTACKER, VICTIM = "10.0.0.5", "203.0.113.9", "198.51.100.7"


class CountingHasher(MD5PasswordHasher):
    """A quick hasher that counts its calls; Django's own take a tenth of a second each, which is what can be measured."""

    algorithm = "counting"
    calls = 0

    def encode(self, password: str, salt: str) -> str:
        CountingHasher.calls += 1
        return str(super().encode(password, salt))


@pytest.fixture(autouse=True)
def counting(settings: Settings) -> None:
    settings.PASSWORD_HASHERS = [f"{__name__}.CountingHasher"]


@pytest.fixture
def user() -> User:
    return User.objects.create_user("morgan", password=PASSWORD)


def attempt(name: str, password: str = WRONG, address: str = ATTACKER, forwarded: str | None = None) -> int:
    """Status of a login with a new browser: 200 refused, 302 in, 429 locked out."""
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    return (
        Client(headers=headers, REMOTE_ADDR=address)
        .post("/login/", {"username": name, "password": password})
        .status_code
    )


def guess(name: str = "morgan", address: str = ATTACKER, forwarded: str | None = None) -> None:
    """Until it is locked out."""
    statuses = [attempt(name, address=address, forwarded=forwarded) for _ in range(LIMIT)]
    assert statuses == [200] * (LIMIT - 1) + [429]


def hashes(name: str, password: str = WRONG) -> int:
    """How many a login costs."""
    before = CountingHasher.calls
    attempt(name, password)
    return CountingHasher.calls - before


@pytest.mark.parametrize(
    "name",
    [
        "morgan",
        "unknown",
        "inactive",
        "without",
        "m" * 150,
        "m" * 151,
        "m" * 5000,
        "Morgan",
        "\uff4dorgan",
        "\u202emorgan",
    ],
)
def test_each_refusal_costs_one_hash_whether_there_is_such_a_user_or_not(user: User, name: str) -> None:
    User.objects.create_user("inactive", password=PASSWORD, is_active=False)
    User.objects.create_user("without")
    assert hashes(name) == 1
    assert hashes("inactive", PASSWORD) == 1


def test_the_refusals_are_the_same_page(user: User) -> None:
    User.objects.create_user("inactive", password=PASSWORD, is_active=False)
    pages = set()
    for name, password in (("morgan", WRONG), ("unknowns", WRONG), ("inactive", PASSWORD), ("m" * 200, WRONG)):
        client = Client()
        client.get("/login/")
        text = client.post("/login/", {"username": name, "password": password}).content.decode()
        token = client.cookies["csrftoken"].value
        assert token
        pages.add(
            "".join(line for line in text.splitlines() if "csrfmiddlewaretoken" not in line).replace(name, "NAME")
        )
    assert len(pages) == 1


@pytest.mark.parametrize("name", ["morgan", "unknown", "m" * 151])
def test_a_lock_does_not_tell_whether_there_is_such_a_user(user: User, name: str) -> None:
    guess(name)
    before = CountingHasher.calls
    assert attempt(name, PASSWORD) == 429
    assert before == CountingHasher.calls


def test_a_name_that_is_too_long_is_nobody(user: User) -> None:
    longest = User.objects.create_user("m" * 150, password=PASSWORD)
    assert attempt(longest.username, PASSWORD) == 302
    for length in (151, 152, 5000):
        assert attempt("m" * length, PASSWORD) == 200


@pytest.mark.parametrize("forwarded", [None, VICTIM, f"{VICTIM}, {PROXY}", "127.0.0.1", "unknown", "", "x" * 5000])
def test_without_a_trusted_proxy_a_header_changes_nothing(user: User, forwarded: str | None) -> None:
    guess(forwarded=forwarded)
    for other in (None, VICTIM, "192.0.2.1", "::1"):
        assert attempt("morgan", PASSWORD, forwarded=other) == 429, "no way out"
    assert attempt("morgan", PASSWORD, address=VICTIM) == 302, "nobody else is locked out"


def test_behind_a_proxy_that_is_not_named_the_address_is_the_proxys(user: User) -> None:
    guess(address=PROXY, forwarded=ATTACKER)
    assert attempt("morgan", PASSWORD, address=PROXY, forwarded=VICTIM) == 429


@pytest.mark.parametrize("forged", ["", f"{VICTIM}, ", f"{VICTIM},", "unknown, ", f"{PROXY}, ", f"{VICTIM}, {PROXY}, "])
def test_behind_a_trusted_proxy_what_it_added_counts(user: User, settings: Settings, forged: str) -> None:
    settings.TRUSTED_PROXIES = [ip_network("10.0.0.0/24"), ip_network("127.0.0.1")]
    guess(address=PROXY, forwarded=forged + ATTACKER)
    for other in ("", f"{VICTIM}, ", "192.0.2.1, "):
        assert attempt("morgan", PASSWORD, PROXY, other + ATTACKER) == 429, "no way out"
        assert attempt("morgan", PASSWORD, PROXY, f"{other}{ATTACKER}, 10.0.0.6") == 429, "two proxies in a row"
    assert attempt("morgan", PASSWORD, PROXY, VICTIM) == 302
    assert attempt("morgan", PASSWORD, ATTACKER, VICTIM) == 429, "who is no proxy is not believed"


@pytest.mark.parametrize("added", ["unknown", "", "203.0.113.9:4711", "\u0661.2.3.4"])
def test_a_proxy_that_adds_no_address_is_counted_itself(user: User, settings: Settings, added: str) -> None:
    settings.TRUSTED_PROXIES = [ip_network(PROXY)]
    guess(address=PROXY, forwarded=added)
    assert AccessAttempt.objects.get().ip_address == PROXY


def test_on_a_unix_socket_wrong_passwords_count_too(user: User, settings: Settings) -> None:
    guess(address="")
    settings.TRUSTED_PROXIES = [ip_network("127.0.0.1")]
    guess(address="", forwarded=ATTACKER)
    assert attempt("morgan", PASSWORD, address="", forwarded=VICTIM) == 302


def test_one_who_has_a_network_of_addresses_has_no_more_tries(user: User) -> None:
    statuses = [attempt("morgan", address=f"2001:db8::{number:x}") for number in range(1, LIMIT + 1)]
    assert statuses[-1] == 429
    assert attempt("morgan", PASSWORD, address="2001:db8::ffff") == 429
    assert attempt("morgan", PASSWORD, address="2001:db8:0:1::1") == 302


def test_an_address_of_ipv4_is_one_however_it_is_written(user: User) -> None:
    guess(address=ATTACKER)
    assert attempt("morgan", PASSWORD, address=f"::ffff:{ATTACKER}") == 429
    assert attempt("morgan", PASSWORD, address=f"::ffff:{VICTIM}") == 302


def test_another_spelling_of_the_name_or_another_browser_gives_no_more_tries(user: User) -> None:
    names = ["morgan", "\uff4dorgan", " morgan ", "mor\uff47an", "morgan\u3000"] * 2
    statuses = [
        Client(headers={"User-Agent": f"browser {number}"}, REMOTE_ADDR=ATTACKER)
        .post("/login/", {"username": name, "password": WRONG})
        .status_code
        for number, name in enumerate(names)
    ]
    assert statuses[-1] == 429


def test_a_login_of_ones_own_gives_no_more_tries_at_another(user: User) -> None:
    User.objects.create_user("attacker", password=PASSWORD)
    for _ in range(LIMIT - 1):
        assert attempt("morgan") == 200
        assert attempt("attacker", PASSWORD) == 302
    assert attempt("morgan") == 429


def test_a_password_is_kept_nowhere(user: User) -> None:
    attempt("morgan", "T0P-secret-guess")
    row = AccessAttempt.objects.values().get()
    assert "T0P-secret-guess" not in str(row)
