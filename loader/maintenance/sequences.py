"""Compares the sequences of a feed's files with those that its server holds: `feed reconcile --sequences`.

The server gives the MD5 of what it was sent, in one call a sample; the file is read for its own. Both take time, so it is paced,
and can be continued after the last name.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core.digests import digest
from core.processes import monotonic
from core.temporary import in_pages
from loader.choices import RESULT_REASONS, FindingKind, LoadResult, ObjectState
from loader.fasta.parser import NotLoadable, Sample, read_sample, unpacked
from loader.ledger.scan import PAGE_SIZE
from loader.maintenance.reconcile import Difference
from loader.models import BucketObject, Feed
from objectstores.base import Archived, Changed, NotFound, Store, StoredObject, TooLarge

if TYPE_CHECKING:
    from loader.fn4.client import FindNeighbour4

DEFAULT_PACE = 20.0
"""Questions a second: a loader that inserts meanwhile hardly notices."""
CORRECTED = (LoadResult.PRESENT, LoadResult.SAME, LoadResult.CONFLICTING)
"""Results that say whether the sequence is the same, and are corrected."""


@dataclass
class SequenceComparison:
    """One comparison of all files of a feed that are in its server, in the order of their names."""

    feed: Feed
    store: Store
    fn4: FindNeighbour4
    db: str
    pace: float = DEFAULT_PACE
    after: str = ""
    """Names up to this one are left out."""
    dry_run: bool = False
    last: str = ""
    """The last file that was compared."""
    same: int = 0
    corrected: int = 0
    """Results in the ledger that were changed."""
    counts: Counter[FindingKind] = field(default_factory=Counter)
    _next_at: float = 0.0

    def differences(self) -> Iterator[Difference]:
        """Compares, and yields what differs and what could not be compared.

        Raises ServerUnavailable, ServerMisconfigured, and StoreError if the store fails: `last` says how far it came.
        """
        names = self.feed.name_rules
        listed = (item for item in self.store.list() if names.is_fasta(item.name) and item.name > self.after)
        for page in in_pages(listed, PAGE_SIZE):
            versions = {digest(item.name, item.etag): item for item in page}
            rows = BucketObject.objects.using(self.db).filter(feed=self.feed, version__in=list(versions))
            known = {row.version: row for row in rows}
            for version, item in versions.items():
                difference = self._compare(item, known.get(version))
                self.last = item.name
                if difference:
                    self.counts[difference.kind] += 1
                    yield difference

    def _compare(self, item: StoredObject, row: BucketObject | None) -> Difference | None:
        guid = (row.guid if row else "") or self.feed.name_rules.sample_id(item.name)
        if (wait := self._next_at - monotonic()) > 0:
            time.sleep(wait)
        self._next_at = max(self._next_at, monotonic()) + 1 / self.pace
        held = self.fn4.annotation(guid)
        if held is None:
            return None
        if not held.md5:
            return Difference(FindingKind.NOT_COMPARED, guid, item.name, "the server gives no digest")
        try:
            content = self.store.read(item.name, etag=item.etag, limit=self.feed.largest)
            sample = read_sample(unpacked(content, self.feed.largest), item.name, self.feed.fasta_rules)
        except (NotLoadable, NotFound, Changed, TooLarge, Archived) as error:
            return Difference(FindingKind.NOT_COMPARED, guid, item.name, str(error))
        if sample.guid != guid:
            return Difference(FindingKind.NOT_COMPARED, guid, item.name, "the record has another id than the sample")
        is_same = sample.md5 == held.md5
        self.same += is_same
        if row and row.state == ObjectState.LOADED:
            self._correct(row, sample, is_same=is_same)
        if is_same:
            return None
        return Difference(FindingKind.SEQUENCE_DIFFERS, guid, item.name, RESULT_REASONS[LoadResult.CONFLICTING])

    def _correct(self, row: BucketObject, sample: Sample, *, is_same: bool) -> None:
        """What the server says is written into the ledger; that it was ever inserted by us, or lacks links, stays."""
        result = row.result
        if not is_same:
            result = LoadResult.CONFLICTING
        elif not row.result or row.result in CORRECTED:
            result = LoadResult.SAME
        if result == row.result:
            return
        self.corrected += 1
        if not self.dry_run:
            rows = BucketObject.objects.using(self.db).filter(pk=row.pk, state=ObjectState.LOADED, result=row.result)
            reason = RESULT_REASONS.get(LoadResult(result), "")
            rows.update(result=result, reason=reason, seq_digest=row.seq_digest or sample.digest)
