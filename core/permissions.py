"""Who may see and do what: the two groups that a migration makes, and the guard of every page."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.management import create_permissions
from django.contrib.auth.mixins import PermissionRequiredMixin

VIEWERS = "viewers"
OPERATORS = "operators"
APPS = ("batches", "loader", "fnloader_site")
"""Viewers and operators may see every table of these."""
ACT = (
    "batches.change_batch",
    "batches.delete_batch",
    "batches.change_batchrecord",
    "loader.change_feed",
    "loader.change_bucketobject",
)
"""What operators may do: `delete_batch` also allows a batch's objects to be deleted from the bucket."""


def make_groups(apps: Any, db: str) -> None:  # noqa: ANN401 - a migration's registry
    """Makes both groups, or gives them what they lack. A migration that makes a model calls this again, after it.

    Permissions are made here, too: Django itself makes them only after all migrations.
    """
    group, permission = apps.get_model("auth", "Group"), apps.get_model("auth", "Permission")
    for label in APPS:
        config = apps.get_app_config(label)
        config.models_module = True
        create_permissions(config, verbosity=0, using=db, apps=apps)
        config.models_module = None
    ours = permission.objects.using(db).filter(content_type__app_label__in=APPS)
    look = list(ours.filter(codename__startswith="view_"))
    act = [one for one in ours.select_related("content_type") if f"{one.content_type.app_label}.{one.codename}" in ACT]
    for name, permissions in ((VIEWERS, look), (OPERATORS, [*look, *act])):
        one, _ = group.objects.using(db).get_or_create(name=name)
        one.permissions.add(*permissions)


class PermissionView(PermissionRequiredMixin):
    """A page for who has its permission; who is logged in without it is told which it is."""

    def get_permission_denied_message(self) -> str:
        """For the 403 page."""
        return f"This page needs the permission {self.permission_required}."
