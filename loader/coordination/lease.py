"""Who may insert into a server: one owner at a time, anywhere that shares the database (design.md, promise 6).

The owner holds a row of `Server` until it expires by the database's clock, and renews it while it works. Each change of
owner raises the row's fence; what an owner writes about an insert names its fence, so one that was taken over can't.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from core.processes import is_dead, monotonic, this_process
from loader.coordination.sent_marker import SentMarker, forget, last_sent
from loader.models import LoadAttempt, Server

LEASE_SECONDS = 60.0
RENEW_AFTER = 15.0
WANTED_SECONDS = 5.0
SAFETY = 10.0
"""An owner never begins to send in the last seconds of its lease."""


class LeaseLost(Exception):
    """Somebody else may insert now: whatever was under way is theirs to find out about."""


@dataclass
class Lease:
    """The right to insert into one server."""

    server: Server
    db: str
    host: str
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    fence: int = 0
    _until: float = 0.0
    _renewed: float = 0.0
    _note: SentMarker | None = field(default=None, repr=False)
    _sent: int = 0
    _before: tuple[str, int, int | None] = ("", 0, None)
    """Who held it before us: token, fence, and what it sent last, if that is known."""

    def acquire(self) -> bool:
        """Takes the lease if it is free, expired, or its owner is dead. One conditional UPDATE: the count says who won."""
        free = Q(lease_token="") | Q(lease_token=self.token) | Q(lease_expires__lt=Now())
        owner = self._rows().get()
        if owner.lease_token and is_dead(owner.lease_process):
            free |= Q(lease_token=owner.lease_token)
        last = self._last_of(owner)
        before = monotonic()
        won = (
            self._rows()
            .filter(free)
            .update(
                fence=F("fence") + 1,
                lease_token=self.token,
                lease_host=self.host,
                lease_pid=os.getpid(),
                lease_process=this_process(),
                wanted_at=None,
                **self._expiry(),
                **self._takeover(owner),
            )
        )
        if won:
            self.fence = self._rows().values_list("fence", flat=True).get()
            self._held_since(before)
            self._before = owner.lease_token, owner.fence, last
            self._note = self._note or SentMarker(self.token)
            self.sending(0)
        return bool(won)

    def sending(self, place: int) -> None:
        """Notes that the sample at this place of the batch is sent now."""
        self._sent = place
        if self._note:
            self._note.note(place)

    def may_have_sent(self, attempt: LoadAttempt) -> bool:
        """Whether the server may have got an attempt with a start time: who held the lease before may not have come so far.

        False only if that is certain: it held the lease on this machine, is dead, and its note says what it sent last.
        """
        _, fence, last = self._before
        return last is None or attempt.fence != fence or (attempt.batch_sample_number or 0) <= last

    def want(self) -> None:
        """Tells the owner that somebody waits (loader.coordination.turn_taking)."""
        self._rows().update(wanted_at=Now())

    def is_wanted(self) -> bool:
        """Whether somebody has asked for it in vain in the last seconds."""
        return self._rows().filter(wanted_at__gt=Now() - timedelta(seconds=WANTED_SECONDS)).exists()

    def beat(self) -> None:
        """Renews the lease if it is time to. Cheap to call often. Raises LeaseLost."""
        if monotonic() - self._renewed > RENEW_AFTER:
            self._renew()

    def ensure(self) -> None:
        """Called just before each send: the lease is ours, for some seconds yet, by our own clock. Raises LeaseLost."""
        if monotonic() > self._until - SAFETY:
            self._renew()
        if monotonic() > self._until - SAFETY:
            raise LeaseLost(f"The database took too long to renew the lease of {self.server}.")

    def release(self) -> None:
        """Lets others in at once."""
        self._mine().update(lease_token="", lease_expires=None)
        if self._note:
            self._note.close()
            self._note = None
        forget(self.token)
        forget(self._before[0])

    def owner(self) -> str:
        """Who holds it now, in words."""
        row = self._rows().get()
        if not row.lease_token:
            return "nobody"
        return f"process {row.lease_pid} on {row.lease_host} (until {row.lease_expires:%H:%M:%S} UTC unless it renews)"

    def _renew(self) -> None:
        before = monotonic()
        if not self._mine().update(**self._expiry()):
            raise LeaseLost(f"The lease of {self.server} went to {self.owner()}.")
        self._held_since(before)

    def _held_since(self, before: float) -> None:
        self._renewed, self._until = before, before + LEASE_SECONDS

    def _last_of(self, owner: Server) -> int | None:
        if self.fence and owner.fence == self.fence:
            return self._sent
        dead = owner.lease_token and is_dead(owner.lease_process)
        return last_sent(owner.lease_token) if dead else None

    def _takeover(self, owner: Server) -> dict[str, Any]:
        """Who had it and did not give it back: that should not happen, and is told (loader.concerns)."""
        if owner.lease_token in ("", self.token):
            return {}
        return {"taken_over_at": Now(), "taken_over_from": f"process {owner.lease_pid} on {owner.lease_host}"}

    def _expiry(self) -> dict[str, Any]:
        return {"lease_heartbeat": Now(), "lease_expires": Now() + timedelta(seconds=LEASE_SECONDS)}

    def _rows(self) -> QuerySet[Server]:
        return Server.objects.using(self.db).filter(pk=self.server.pk)

    def _mine(self) -> QuerySet[Server]:
        return self._rows().filter(lease_token=self.token, fence=self.fence)
