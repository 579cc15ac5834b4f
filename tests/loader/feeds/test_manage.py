"""Which server a URL means."""

from __future__ import annotations

import pytest

from loader.feeds.server_urls import WrongUrl, identity, normalise


@pytest.mark.parametrize(
    ("url", "normal"),
    [
        ("HTTP://LocalHost:5025/", "http://localhost:5025"),
        ("https://fn4.example.org:443/tb/", "https://fn4.example.org/tb"),
        ("http://fn4.example.org:80", "http://fn4.example.org"),
        ("http://[::1]:5025", "http://[::1]:5025"),
    ],
)
def test_a_server_has_one_spelling(url: str, normal: str) -> None:
    assert normalise(url) == normal


@pytest.mark.parametrize("url", ["", "localhost:5025", "ftp://host", "http://", "http://host?x=1", "http://host:99999"])
def test_what_is_no_url_is_refused_with_the_right_form(url: str) -> None:
    with pytest.raises(WrongUrl, match="URL"):
        normalise(url)


def test_a_password_in_the_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(WrongUrl, match="FN4_AUTH") as caught:
        normalise("http://me:hidden@host")
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://localhost:5025", "http://127.0.0.1:5025", "http://127.1.2.3", "http://[::1]:1"]
)
def test_a_loopback_address_is_another_server_on_another_host(url: str) -> None:
    assert identity(url, "one") != identity(url, "two")


def test_any_other_address_is_one_server_for_all_hosts() -> None:
    assert (
        identity("http://fn4.example.org", "one")
        == identity("http://fn4.example.org", "two")
        == "http://fn4.example.org"
    )
