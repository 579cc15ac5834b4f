"""What the URL of a feed's store means: its end is a folder; `run1*` asks for all names that begin with `run1`.

A feed that was added before store URLs meant folders keeps its URL, with neither `/` nor `*` at the end, and what it meant:
all names that begin so.
"""

from __future__ import annotations

import re

from objectstores import Store, open_store

RAW = "*"
_WITH_PREFIX = re.compile(r"(?P<bucket>(?:s3|oci)://[^/]+)/(?P<prefix>.*)", re.DOTALL)


def canonical_store_url(url: str) -> str:
    """The URL with which a new feed is stored: its prefix ends in `/` or `*`."""
    match = _WITH_PREFIX.fullmatch(url)
    if not match:
        return url
    prefix = match["prefix"]
    if prefix == RAW or prefix.endswith("/" + RAW):
        prefix = prefix.removesuffix(RAW)
    elif prefix and not prefix.endswith(("/", RAW)):
        prefix += "/"
    return f"{match['bucket']}/{prefix}" if prefix else match["bucket"]


def open_feed_store(url: str) -> Store:
    """The store at the URL of a feed. Raises what `open_store` raises."""
    return open_store(url.removesuffix(RAW) if _WITH_PREFIX.fullmatch(url) else url)


def meaning(url: str) -> str:
    """Which names it loads, where that is not plain from the URL; else nothing."""
    match = _WITH_PREFIX.fullmatch(url)
    if not match or not match["prefix"] or match["prefix"].endswith("/"):
        return ""
    prefix = match["prefix"].removesuffix(RAW)
    age = "" if url.endswith(RAW) else " (the feed is older than the rule that a URL means a folder)"
    return f"all names that begin with '{prefix}'{age}"
