"""The loader's list pages. One feed is in `feed_page`, one attempt and one file in `detail`, what can be done in `acts`."""

from __future__ import annotations

from core.lists.views import FilteredListView
from loader import querysets
from loader.filters import AttemptFilterSet, BatchLoadFilterSet, FeedFilterSet, FindingFilterSet, ObjectFilterSet
from loader.models import BatchLoad, BucketObject, Finding, LoadAttempt
from loader.tables import AttemptTable, BatchLoadTable, FeedTable, FindingTable, ObjectTable


class FeedListView(FilteredListView):
    """All feeds."""

    queryset = querysets.feeds_with_state().order_by("name")
    filterset_class = FeedFilterSet
    table_class = FeedTable
    permission_required = "loader.view_feed"
    title = "Feeds"
    lead = "Each loads one bucket into one server."
    empty = "No feed yet. Add one: `python manage.py feed add NAME SERVER_URL STORE_URL`"


class AttemptListView(FilteredListView):
    """All load attempts, newest first."""

    queryset = LoadAttempt.objects.select_related("feed").order_by("-gp_int_id")
    filterset_class = AttemptFilterSet
    table_class = AttemptTable
    permission_required = "loader.view_loadattempt"
    title = "Load attempts"
    lead = "One row each time a sample was to be loaded into a server."
    empty = "No attempt yet: one is written before each insert. Load all feeds: `python manage.py fnload --all`"


class BatchLoadListView(FilteredListView):
    """All looks into buckets, newest first."""

    queryset = BatchLoad.objects.select_related("feed").order_by("-bl_int_id")
    filterset_class = BatchLoadFilterSet
    table_class = BatchLoadTable
    permission_required = "loader.view_batchload"
    title = "Batch loads"
    lead = "One row each time a bucket was analysed, also when nothing was due."
    empty = "No bucket was analysed yet. Load all feeds: `python manage.py fnload --all`"


class ObjectListView(FilteredListView):
    """All files ever seen in a bucket, newest first."""

    queryset = BucketObject.objects.select_related("feed").order_by("-pk")
    filterset_class = ObjectFilterSet
    table_class = ObjectTable
    permission_required = "loader.view_bucketobject"
    title = "Files"
    lead = "Every version of every file that a feed's bucket ever showed, and where it stands."
    empty = "No file was seen yet: a feed's bucket is listed with its first load, `python manage.py fnload --all`"


class FindingListView(FilteredListView):
    """Which samples the last comparison of each feed found."""

    queryset = Finding.objects.select_related("feed").order_by("feed", "kind", "pk")
    filterset_class = FindingFilterSet
    table_class = FindingTable
    permission_required = "loader.view_feed"
    title = "Differences"
    lead = "Samples on which bucket, ledger and server did not agree when their feed was last compared."
    empty = "No comparison found a difference. Compare a feed: Reconcile on its page, or `python manage.py feed reconcile NAME`"
