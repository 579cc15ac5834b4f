"""Every address of the site."""

from __future__ import annotations

from collections.abc import Iterator

from django.contrib import admin
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_resolver, reverse

from batches.models import Batch
from loader.models import BucketObject, Feed, LoadAttempt


def addresses(rows_each: int = 5) -> Iterator[str]:
    """Every address of the site with each row that it may name, the admin's lists and rows among them."""
    values = {
        "name": [*Feed.objects.values_list("name", flat=True)[:rows_each]],
        "bid": [*Batch.objects.values_list("bid", flat=True)[:rows_each]],
    }
    keys = {"file": BucketObject, "attempt": LoadAttempt}
    for namespace, pattern in _patterns(get_resolver()):
        names = pattern.pattern.regex.groupindex
        if pattern.name is None or namespace == "admin":
            continue
        model = next((model for word, model in keys.items() if word in str(pattern.pattern)), BucketObject)
        rows = [*model._default_manager.values_list("pk", flat=True)[:rows_each]]
        options = (
            [{}]
            if not names
            else [{next(iter(names)): one} for one in (rows if "pk" in names else values.get(next(iter(names)), ["x"]))]
        )
        if "row" in names:
            options = [option | {"row": 1} for option in options]
        for arguments in options:
            try:
                yield reverse(f"{namespace}:{pattern.name}" if namespace else pattern.name, kwargs=arguments)
            except NoReverseMatch:
                continue
    for model in admin.site._registry:
        path = f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        yield path
        for pk in model._default_manager.values_list("pk", flat=True)[: min(rows_each, 2)]:
            yield f"{path}{pk}/change/"


def _patterns(resolver: URLResolver, namespace: str = "") -> Iterator[tuple[str, URLPattern]]:
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLResolver):
            yield from _patterns(pattern, pattern.namespace or namespace)
        else:
            yield namespace, pattern
