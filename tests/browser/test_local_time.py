"""Times are the viewer's from the first page on, whatever the browser calls the zone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Browser, Page
from pytest_django.live_server_helper import LiveServer

from loader.models import Feed, LoadAttempt, Server

pytestmark = pytest.mark.timeout(300)


def first_page(chromium: Browser, live_server: LiveServer, path: str, zone: str) -> Page:
    """A page that a link in a mail leads to: logged in, and the site does not know the zone yet."""
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))
    context = chromium.new_context(timezone_id=zone)
    context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": live_server.url}])
    page = context.new_page()
    page.goto(live_server.url + path)
    return page


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_times_are_local_on_the_first_page_and_on_the_next(chromium: Browser, live_server: LiveServer) -> None:
    server = Server.objects.create(identity="http://fn4", url="http://fn4")
    feed = Feed.objects.create(name="tb", server=server, store_url="file:///x", store_digest="d")
    when = datetime(2026, 1, 31, 18, 25, 3, tzinfo=UTC)
    LoadAttempt.objects.create(feed=feed, seqid="s1", bucket_read_start_time=when)
    page = first_page(chromium, live_server, "/attempts/", "Asia/Calcutta")
    assert "2026-01-31 23:55:03" in page.inner_text("main")
    page.reload()
    assert "2026-01-31 23:55:03" in page.inner_text("main")
    assert page.get_attribute("html", "data-zone") == "Asia/Calcutta"
    page.context.close()


@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_fields_of_the_first_page_hold_local_times(chromium: Browser, live_server: LiveServer) -> None:
    page = first_page(chromium, live_server, "/search/", "Pacific/Kiritimati")
    page.wait_for_function("document.documentElement.dataset.zone === 'Pacific/Kiritimati'")
    until = page.input_value("input[name=until]")
    now = page.evaluate("Date.now()")
    local = page.evaluate("text => new Date(text).getTime()", until)
    assert abs(local - now) < 10 * 60_000
    page.context.close()
