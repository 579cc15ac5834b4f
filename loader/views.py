"""Pages of the loader: lists here, one feed in `feed_page`, one attempt in `attempt_page`."""

from __future__ import annotations

from fnloader_site.lists import ListPage
from loader import lists
from loader.filters import AttemptFilters, FeedFilters
from loader.models import LoadAttempt
from loader.tables import AttemptTable, FeedTable


class FeedList(ListPage):
    """All feeds."""

    queryset = lists.feeds().order_by("name")
    filterset_class = FeedFilters
    table_class = FeedTable
    permission_required = "loader.view_feed"
    title = "Feeds"
    lead = "Each loads one bucket into one server."
    empty = "No feed yet. Add one: `python manage.py feed add NAME SERVER_URL STORE_URL`"


class AttemptList(ListPage):
    """All load attempts, newest first."""

    queryset = LoadAttempt.objects.select_related("feed").order_by("-gp_int_id")
    filterset_class = AttemptFilters
    table_class = AttemptTable
    permission_required = "loader.view_loadattempt"
    title = "Load attempts"
    lead = "One row each time a sample was to be loaded into a server."
    empty = "No attempt yet: one is written before each insert. Load a feed: `python manage.py fnload --all`"
