"""`passes`: passes over a folder into a findNeighbour4 stand-in, in this process, where no other process matters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from django.db.models.functions import Now

from loader.concerns import loader_concerns
from loader.fn4.client import FindNeighbour4
from loader.models import BucketObject, Feed, LoadAttempt, Server
from loader.pipeline.context import LoadContext
from loader.pipeline.feed_pass import FeedPass
from loader.pipeline.result import PassResult
from objectstores import open_store
from sandbox.clients import Fn4Sandbox
from sandbox.genomes import fasta, mutant
from tests.support.feeding import LENGTH, REFERENCE
from tests.support.feeds import MakeFeed


@dataclass
class Passes:
    """A feed, its folder and its server."""

    feed: Feed
    fn4: Fn4Sandbox
    log: list[str] = field(default_factory=list)
    stop: Callable[[], bool] = lambda: False

    def put(self, *samples: str, letters: str = "") -> None:
        """Puts a file for each sample; they are due in this order."""
        folder = Path(unquote(urlsplit(self.feed.store_url).path))
        for sample in samples:
            sequence = letters or mutant(REFERENCE, len(list(folder.iterdir())))
            (folder / f"{sample}.fasta").write_bytes(fasta(sample, sequence))

    def remove(self, sample: str) -> None:
        """Deletes the file of a sample."""
        Path(unquote(urlsplit(self.feed.store_url).path), f"{sample}.fasta").unlink()

    def turn(self, *, in_job: bool = False) -> PassResult:
        """One pass, as of a loader that has just been started."""
        self.feed.refresh_from_db()
        with (
            closing(open_store(self.feed.store_url)) as store,
            closing(FindNeighbour4(self.fn4.url)) as client,
        ):
            context = LoadContext(self.feed, store, client, stop=self.stop, log=self.log.append)
            if in_job:
                context.slice_over = lambda _samples: False
            return FeedPass(context).turn()

    def a_minute_later(self) -> None:
        """The server may be asked about itself again."""
        Server.objects.update(asked_at=Now() - timedelta(minutes=2))

    @property
    def server(self) -> Server:
        """Its row as it is now."""
        return Server.objects.get()

    def objects(self, *columns: str) -> list[tuple[Any, ...]]:
        """Columns of the ledger, by name."""
        return list(BucketObject.objects.order_by("name").values_list(*columns))

    def outcomes(self) -> list[tuple[Any, ...]]:
        """Sample, outcome and status of all attempts, in order."""
        return list(LoadAttempt.objects.order_by("gp_int_id").values_list("seqid", "outcome", "insert_status_code"))

    def concerns(self) -> dict[str, str]:
        """All concerns: kind and reason."""
        return {
            concern.kind: f"{concern.what}. {concern.why} {concern.way_out}" for concern in loader_concerns().concerns
        }


@pytest.fixture
def passes(make_feed: MakeFeed) -> Iterator[Passes]:
    """A feed with an empty folder."""
    with Fn4Sandbox(LENGTH) as fn4:
        yield Passes(make_feed(url=fn4.url), fn4)
