"""What a server says about itself, asked at the begin of a pass, and compared with what was known before.

A server whose reference has another length is another server; one that holds fewer samples than before was emptied or restored
from a backup. Nothing is sent again by itself.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import datetime, timedelta

from django.db.models import Q

from core.formatting import printable
from loader.choices import LoadResult, ObjectState
from loader.coordination.engine_question import claim_question
from loader.feeds.rejections import undo
from loader.fn4.facts import EngineFacts
from loader.fn4.responses import ServerMisconfigured, ServerUnavailable
from loader.models import BucketObject, Server, ServerReading
from loader.pipeline.context import LoadContext

COUNT_EVERY = timedelta(hours=1)
MAX_NAME_LENGTH = 200
MAX_NUMBER = 2**31 - 1
INSERTED = (LoadResult.INSERTED, LoadResult.FOUND, LoadResult.UNPROVEN, LoadResult.INVALID)
"""Results of samples that we put into the server."""
WRONG_LENGTH = re.compile(r"[\d,]+ letters; the server's reference has [\d,]+")


def wrong_length(letters: int, reference: int) -> str:
    """Why a sequence of that length is not sent."""
    return f"{letters:,} letters; the server's reference has {reference:,}"


class ServerCheck:
    """Asks one server, for one pass."""

    def __init__(self, context: LoadContext) -> None:
        self._context, self._db = context, context.db
        self._row = Server.objects.using(self._db).filter(pk=context.server.pk)

    @property
    def has_ever_told(self) -> bool:
        """Whether it can tell anything about itself."""
        return ServerReading.objects.using(self._db).filter(server=self._context.server).exists()

    def begin(self, troubled_since: datetime | None, *, continued: bool) -> int | None:
        """Asks what is due at the begin of a pass: its engine, once a minute, and the number of its samples, if something was
        loaded since, an hour has passed, or it may have been restarted: it had been in trouble, or its engine holds fewer.
        Returns that number, None if it was not asked. `continued`: the pass continues a batch.

        Raises what `count` raises.
        """
        engine_shrank = False
        if claim_question(self._context.server, self._db):
            missing_before = self._missing_in_engine()
            try:
                self.ask_engine()
                engine_shrank = self._missing_in_engine() > missing_before
            except ServerMisconfigured:
                # It no longer tells: what was known may be of another server.
                self._row.update(reference_length=None, max_unknown=None, engine_samples=None)
            except ServerUnavailable as error:
                self._context.log(f"The server does not say how its engine is: {error}")
        self._context.reference_length = self._row.values_list("reference_length", flat=True).get()
        counted_at, now = self._row.values_list("counted_at", flat=True).get(), self._context.clock.now()
        is_old = counted_at is None or not timedelta(0) <= now - counted_at < COUNT_EVERY
        restarted = troubled_since and (counted_at is None or counted_at < troubled_since)
        return self._count() if restarted or engine_shrank or (is_old and not continued) else None

    def ask_engine(self) -> EngineFacts:
        """Asks, and stores the answer; the caller has claimed the question. Raises ServerUnavailable, ServerMisconfigured."""
        fn4, old, name = self._context.fn4, self._row.get(), ""
        facts = fn4.engine()
        with suppress(ServerMisconfigured):
            name = fn4.name()
        self._row.update(
            name=printable(name)[:MAX_NAME_LENGTH],
            version=printable(facts.version)[:MAX_NAME_LENGTH],
            reference_length=_small(facts.reference_length),
            max_unknown=_small(facts.max_unknown),
            engine_samples=_small(facts.samples),
        )
        ServerReading.objects.using(self._db).create(
            server=self._context.server,
            at=self._context.clock.now(),
            samples=old.number_in_server,
            engine_samples=_small(facts.samples),
            invalid=old.invalid_in_server,
            memory_used=facts.memory_used,
            memory_total=facts.memory_total,
        )
        if old.reference_length and facts.reference_length and old.reference_length != facts.reference_length:
            # What was rejected for its length against the old reference waits again.
            before, now = old.reference_length, facts.reference_length
            texts = Q(reason__endswith=f"; the server's reference has {before:,}")
            rejected = BucketObject.objects.using(self._db).filter(
                texts | Q(reason__contains=f" and ref is {before}"),
                feed__server=self._context.server,
                state=ObjectState.REJECTED,
            )
            number = undo(rejected, self._db)
            self._context.log(
                f"The server's reference has {now:,} letters, and had {before:,}: is it another server? "
                f"Files rejected for their length that wait again: {number:,}."
            )
        return facts

    def _missing_in_engine(self) -> int:
        """How many samples its engine had fewer than its database, when it was last asked: those with too many N."""
        readings = ServerReading.objects.using(self._db).filter(server=self._context.server)
        samples, in_engine = readings.order_by("-at").values_list("samples", "engine_samples").first() or (None, None)
        return max(0, samples - in_engine) if samples is not None and in_engine is not None else 0

    def _count(self) -> int:
        number = self._context.fn4.count()
        row = self._row.get()
        expected = row.number_in_server
        if expected is None:
            # It holds at least what we put into it. Counted once, before its samples were.
            objects = BucketObject.objects.using(self._db).filter(feed__server=self._context.server)
            expected = objects.filter(state=ObjectState.LOADED, result__in=INSERTED).count()
        if row.shrunk_at and (lost_before := re.match(r"[\d,]+", row.shrunk_note)):
            expected += int(lost_before[0].replace(",", ""))
        lost = max(0, expected - number)
        columns: dict[str, object] = {"number_in_server": number, "counted_at": self._context.clock.now()}
        if lost:
            columns["shrunk_at"] = row.shrunk_at or self._context.clock.now()
            columns["shrunk_note"] = f"{lost:,} of {number + lost:,} samples are missing."
        elif row.shrunk_at:
            columns |= {"shrunk_at": None, "shrunk_note": ""}
        self._row.update(**columns)
        if lost and not row.shrunk_at:
            self._context.log(
                f"{columns['shrunk_note']} The server was emptied or restored: see feed reconcile "
                f"{self._context.feed.name} --repair"
            )
        return number


def _small(number: int | None) -> int | None:
    """As a column holds it; a larger number is none that a server means."""
    return number if number is not None and number <= MAX_NUMBER else None
