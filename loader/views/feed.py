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
from loader import querysets
from loader.feeds.diagnose import diagnose
from loader.feeds.diagnose_server import CheckedLink
from loader.feeds.file_names import last_names, preview_names
from loader.feeds.store_urls import meaning
from loader.models import Feed
from loader.views.feed_charts import SPANS, attempts_chart, samples_in_server_chart
from loader.views.validity_charts import invalid_section

TEST_SECONDS = 25
"""The page gives up after that, as a proxy would."""


class FeedDetailView(PermissionView, View):
    """`/feeds/NAME/?span=day|week|month`."""

    permission_required = "loader.view_feed"

    def get(self, request: HttpRequest, name: str) -> HttpResponse:
        """Nine queries, each by an index; three more if it has samples with too many N."""
        feed = querysets.feeds_with_state().filter(name=name).first()
        if feed is None:
            raise Http404(f"No feed '{name}'.")
        span = request.GET.get("span", "day")
        span = span if span in SPANS else "day"
        now = timezone.now()
        charts = [attempts_chart(feed, now, span), samples_in_server_chart(feed, now, span)]
        context = {
            "feed": feed,
            "has_findings": feed.findings.exists(),
            "span": span,
            "spans": SPANS,
            "charts": charts,
            "invalid": invalid_section(feed, now),
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
