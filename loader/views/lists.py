"""The loader's list pages."""

from __future__ import annotations

from core.lists.views import FilteredListView
from loader.filters import AttemptFilterSet, BatchLoadFilterSet, FeedFilterSet, FindingFilterSet, ObjectFilterSet
from loader.models import BatchLoad, BucketObject, Finding, LoadAttempt
from loader.outlook import feeds_with_pace
from loader.tables import AttemptTable, BatchLoadTable, FeedTable, FindingTable, ObjectTable


class FeedListView(FilteredListView):
    """All feeds."""

    queryset = feeds_with_pace().order_by("name")
    filterset_class = FeedFilterSet
    table_class = FeedTable
    permission_required = "loader.view_feed"
    template_name = "loader/feeds.html"
    title = "Feeds"
    lead = "Each feed loads one bucket into one server."
    empty = "No feeds. Add one: `python manage.py feed add NAME SERVER_URL STORE_URL`"


class AttemptListView(FilteredListView):
    """All load attempts, newest first."""

    queryset = LoadAttempt.objects.select_related("feed").order_by("-gp_int_id")
    filterset_class = AttemptFilterSet
    table_class = AttemptTable
    permission_required = "loader.view_loadattempt"
    title = "Load attempts"
    lead = "Each row is one attempt to load a sample into a server."
    empty = "No load attempts. Load all feeds: `python manage.py fnload --all`"


class BatchLoadListView(FilteredListView):
    """All scans of buckets, newest first."""

    queryset = BatchLoad.objects.select_related("feed").order_by("-bl_int_id")
    filterset_class = BatchLoadFilterSet
    table_class = BatchLoadTable
    permission_required = "loader.view_batchload"
    title = "Batch loads"
    lead = "Each row is one scan of a bucket, also when nothing was due."
    empty = "No batch loads. Load all feeds: `python manage.py fnload --all`"


class ObjectListView(FilteredListView):
    """All files of all buckets, newest first."""

    queryset = BucketObject.objects.select_related("feed").order_by("-pk")
    filterset_class = ObjectFilterSet
    table_class = ObjectTable
    permission_required = "loader.view_bucketobject"
    title = "Files"
    lead = "Each row is one version of a file in a feed's bucket."
    empty = "No files. The first load of a feed scans its bucket: `python manage.py fnload --all`"


class FindingListView(FilteredListView):
    """The differences of the last comparison of each feed."""

    queryset = Finding.objects.select_related("feed").order_by("feed", "kind", "pk")
    filterset_class = FindingFilterSet
    table_class = FindingTable
    permission_required = "loader.view_feed"
    title = "Differences"
    lead = "Samples on which bucket, ledger and server differed in the last comparison of their feed."
    empty = "No differences. Compare a feed: Reconcile on its page, or `python manage.py feed reconcile NAME`"
