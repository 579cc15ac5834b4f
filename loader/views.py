"""The loader's list pages. One feed is in `feed_page`, one attempt and one file in `detail`, what can be done in `acts`."""

from __future__ import annotations

from core.lists.views import FilteredListView
from loader import lists
from loader.filters import AttemptFilters, FeedFilters, FileFilters, FindingFilters, LoadFilters
from loader.findings import Finding
from loader.models import BatchLoad, BucketObject, LoadAttempt
from loader.tables import AttemptTable, FeedTable, FileTable, FindingTable, LoadTable


class FeedList(FilteredListView):
    """All feeds."""

    queryset = lists.feeds().order_by("name")
    filterset_class = FeedFilters
    table_class = FeedTable
    permission_required = "loader.view_feed"
    title = "Feeds"
    lead = "Each loads one bucket into one server."
    empty = "No feed yet. Add one: `python manage.py feed add NAME SERVER_URL STORE_URL`"


class AttemptList(FilteredListView):
    """All load attempts, newest first."""

    queryset = LoadAttempt.objects.select_related("feed").order_by("-gp_int_id")
    filterset_class = AttemptFilters
    table_class = AttemptTable
    permission_required = "loader.view_loadattempt"
    title = "Load attempts"
    lead = "One row each time a sample was to be loaded into a server."
    empty = "No attempt yet: one is written before each insert. Load all feeds: `python manage.py fnload --all`"


class LoadList(FilteredListView):
    """All looks into buckets, newest first."""

    queryset = BatchLoad.objects.select_related("feed").order_by("-bl_int_id")
    filterset_class = LoadFilters
    table_class = LoadTable
    permission_required = "loader.view_batchload"
    title = "Batch loads"
    lead = "One row each time a bucket was analysed, also when nothing was due."
    empty = "No bucket was analysed yet. Load all feeds: `python manage.py fnload --all`"


class FileList(FilteredListView):
    """All files ever seen in a bucket, newest first."""

    queryset = BucketObject.objects.select_related("feed").order_by("-pk")
    filterset_class = FileFilters
    table_class = FileTable
    permission_required = "loader.view_bucketobject"
    title = "Files"
    lead = "Every version of every file that a feed's bucket ever showed, and where it stands."
    empty = "No file was seen yet: a feed's bucket is listed with its first load, `python manage.py fnload --all`"


class FindingList(FilteredListView):
    """Which samples the last comparison of each feed found."""

    queryset = Finding.objects.select_related("feed").order_by("feed", "kind", "pk")
    filterset_class = FindingFilters
    table_class = FindingTable
    permission_required = "loader.view_feed"
    title = "Differences"
    lead = "Samples on which bucket, ledger and server did not agree when their feed was last compared."
    empty = "No comparison found a difference. Compare a feed: Reconcile on its page, or `python manage.py feed reconcile NAME`"
