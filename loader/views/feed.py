"""One feed: state, charts and actions."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout

from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.generic import View

from core.permissions import PermissionView
from loader.bottleneck import recent_flow
from loader.feeds.diagnose import diagnose
from loader.feeds.diagnose_server import CheckedLink
from loader.feeds.file_names import last_names, preview_names
from loader.feeds.store_urls import meaning
from loader.models import Feed
from loader.outlook import feeds_with_pace, outlooks
from loader.views.feed_charts import SPANS, attempts_chart, samples_in_server_chart
from loader.views.validity_charts import invalid_section
from loader.views.way_charts import memory_chart, way_charts

MAX_SERVER_FEEDS = 10
"""Feeds of one server that are looked at for its pace."""
TEST_SECONDS = 25
"""The page gives up after that, as a proxy would."""


class FeedDetailView(PermissionView, View):
    """`/feeds/NAME/?span=day|week|month`."""

    permission_required = "loader.view_feed"

    def get(self, request: HttpRequest, name: str) -> HttpResponse:
        """Ten queries, each by an index, and one more for each other feed of the server; three more if it has samples with
        too many N."""
        rows = feeds_with_pace().filter(server__feeds__name=name).order_by("-waiting", "name")
        # The feeds of the server: the one with most waiting first, as they take turns.
        feeds = list(rows[:MAX_SERVER_FEEDS])
        feed = next((one for one in feeds if one.name == name), None) or rows.filter(name=name).first()
        if feed is None:
            raise Http404(f"No feed '{name}'.")
        feeds += [feed] if feed not in feeds else []
        span = request.GET.get("span", "day")
        span = span if span in SPANS else "day"
        now = timezone.now()
        memory = memory_chart(feed, now, *SPANS[span])
        charts = [
            attempts_chart(feed, now, span),
            *way_charts(feed, now, *SPANS[span]),
            samples_in_server_chart(feed, now, span),
            *([memory] if memory else []),
        ]
        flow = recent_flow(feeds, now)
        waiting = sum(one.waiting for one in feeds if not one.paused_at)
        context = {
            "feed": feed,
            "has_findings": feed.findings.exists(),
            "span": span,
            "spans": SPANS,
            "charts": charts,
            "invalid": invalid_section(feed, now),
            "outlook": outlooks(feeds, now)[feed.pk],
            "bottleneck": flow.sentence(waiting=waiting) if flow else "",
            "others": [one for one in feeds if one.pk != feed.pk],
            "store_note": meaning(feed.store_url),
            "previews": preview_names(feed, last_names(feed, "default")),
        }
        return render(request, "loader/feed.html", context)


class FeedTestView(PermissionView, View):
    """Tests each link of a feed. Loads nothing."""

    permission_required = "loader.change_feed"

    def post(self, request: HttpRequest, name: str) -> HttpResponse:
        """As `feed test`, for up to TEST_SECONDS."""
        feed = get_object_or_404(Feed.objects.select_related("server"), name=name)
        links: list[CheckedLink] = []

        def run() -> None:
            try:
                for link in diagnose(feed, "default"):
                    links.append(link)
            finally:
                connection.close()  # this thread's own

        pool, finished = ThreadPoolExecutor(1), True
        try:
            pool.submit(run).result(TEST_SECONDS)
        except FutureTimeout:
            finished = False
        finally:
            pool.shutdown(wait=False)
        context = {"feed": feed, "links": list(links), "finished": finished, "seconds": TEST_SECONDS}
        return render(request, "loader/feed_test.html", context)
