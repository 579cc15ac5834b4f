"""One feed: where it stands, drawn over time, and what can be done with it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TookTooLong
from typing import Any

from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.generic import View

from core.permissions import PermissionView
from loader import querysets
from loader.choices import FEED_STATE_COLOURS
from loader.feeds.diagnose import CheckedLink, diagnose
from loader.models import Feed
from loader.views.feed_charts import SPANS, attempts_chart, samples_in_server_chart

TEST_SECONDS = 25
"""A test that takes longer is given up by the page; a proxy would hang up on it, too."""


class FeedDetailView(PermissionView, View):
    """`/feeds/NAME/?span=day|week|month`."""

    permission_required = "loader.view_feed"

    def get(self, request: HttpRequest, name: str) -> HttpResponse:
        """Seven queries, each by an index."""
        feed = querysets.feeds_with_state().filter(name=name).first()
        if feed is None:
            raise Http404(f"There is no feed '{name}'.")
        span = request.GET.get("span", "day")
        span = span if span in SPANS else "day"
        now = timezone.now()
        charts = [attempts_chart(feed, now, span), samples_in_server_chart(feed, now, span)]
        context = {
            "feed": feed,
            "has_findings": feed.findings.exists(),
            "colour": FEED_STATE_COLOURS[feed.stands],  # type: ignore[attr-defined]
            "span": span,
            "spans": SPANS,
            "charts": charts,
        }
        return render(request, "loader/feed.html", context)


class FeedTestView(PermissionView, View):
    """Tries every link of a feed; nothing is loaded, and nothing is kept of what is written."""

    permission_required = "loader.change_feed"

    def post(self, request: HttpRequest, name: str) -> HttpResponse:
        """As `feed test`, for so many seconds at most."""
        feed = get_object_or_404(Feed.objects.select_related("server"), name=name)
        links, done = _test_links(feed)
        context: dict[str, Any] = {"feed": feed, "links": links, "done": done, "seconds": TEST_SECONDS}
        return render(request, "loader/feed_test.html", context)


def _test_links(feed: Feed) -> tuple[list[CheckedLink], bool]:
    links: list[CheckedLink] = []

    def work() -> None:
        try:
            for link in diagnose(feed, "default"):
                links.append(link)
        finally:
            connection.close()  # this thread's own

    pool = ThreadPoolExecutor(1)
    try:
        pool.submit(work).result(TEST_SECONDS)
    except TookTooLong:
        return list(links), False
    finally:
        pool.shutdown(wait=False)
    return links, True
