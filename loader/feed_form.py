"""The admin's form of a new feed."""

from __future__ import annotations

from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminTextInputWidget

from core.exceptions import OperationRefused
from loader.feeds.manage import add_feed
from loader.feeds.server_urls import WrongUrl
from loader.models import Feed
from loader.models.feeds import URL_LENGTH
from objectstores import StoreError


class NewFeedForm(forms.ModelForm):  # type: ignore[type-arg] # no type at run time
    """Checked, and added, as by `feed add`."""

    server_url = forms.CharField(
        max_length=URL_LENGTH,
        label="Server URL",
        help_text="URL of the server, such as http://localhost:5025.",
        widget=UnfoldAdminTextInputWidget,
    )

    class Meta:
        model = Feed
        fields = (
            "name",
            "server_url",
            "store_url",
            "header_prefix",
            "strict_ids",
            "sample_id_rule",
            "endings",
            "rna_as_dna",
            "plus_in_ids",
            "interval",
            "largest",
            "scheduled",
        )

    def clean(self) -> dict[str, Any]:
        """Reports what `feed add` would refuse."""
        super().clean()
        if not self.errors:
            try:
                self.add(dry_run=True)
            except (WrongUrl, OperationRefused, StoreError) as error:
                self.add_error(None, str(error))
        return self.cleaned_data

    def add(self, *, dry_run: bool = False) -> Feed:
        """Adds the feed. Raises as `add_feed`."""
        columns = dict(self.cleaned_data)
        name, server_url, store_url = (columns.pop(field) for field in ("name", "server_url", "store_url"))
        return add_feed(name, server_url, store_url, "default", dry_run=dry_run, **columns)
