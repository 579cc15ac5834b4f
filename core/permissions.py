"""Permissions: the two groups that a migration makes, and the mixin of every page."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.management import create_permissions
from django.contrib.auth.mixins import PermissionRequiredMixin

VIEWERS = "viewers"
OPERATORS = "operators"
APPS = ("batches", "loader", "fnloader_site")
"""Apps whose tables viewers and operators may see."""
OPERATOR_PERMISSIONS = (
    "batches.change_batch",
    "batches.delete_batch",
    "batches.change_batchrecord",
    "loader.change_feed",
    "loader.change_bucketobject",
)
"""`delete_batch` also allows to delete a batch's objects from the bucket."""


def make_groups(apps: Any, db: str) -> None:  # noqa: ANN401 - a migration's registry
    """Creates both groups, or adds missing permissions. A migration that creates a model calls this again.

    It creates the permissions too: Django does so only after all migrations.
    """
    group, permission = apps.get_model("auth", "Group"), apps.get_model("auth", "Permission")
    for label in APPS:
        config = apps.get_app_config(label)
        config.models_module = True
        create_permissions(config, verbosity=0, using=db, apps=apps)
        config.models_module = None
    ours = permission.objects.using(db).filter(content_type__app_label__in=APPS)
    view = list(ours.filter(codename__startswith="view_"))
    operate = [
        row
        for row in ours.select_related("content_type")
        if f"{row.content_type.app_label}.{row.codename}" in OPERATOR_PERMISSIONS
    ]
    for name, permissions in ((VIEWERS, view), (OPERATORS, [*view, *operate])):
        row, _ = group.objects.using(db).get_or_create(name=name)
        row.permissions.add(*permissions)


class PermissionView(PermissionRequiredMixin):
    """A page that needs a permission; a user without it sees which one."""

    def get_permission_denied_message(self) -> str:
        """For the 403 page."""
        return f"This page needs the permission {self.permission_required}."
