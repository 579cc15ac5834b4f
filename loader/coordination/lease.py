"""Who may insert into a server: one owner at a time among all processes that share the database (design.md, promise 6).

The owner holds a row of `Server` until the lease expires by the database's clock, and renews it while it works. Each change
of owner raises the row's fence; a write about an insert names the fence, so an owner that was taken over can't make one.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from core.due import CLOCK_TOLERANCE
from core.processes import is_dead, monotonic, this_process
from loader.coordination.sent_marker import SentMarker, forget, last_sent
from loader.models import LoadAttempt, Server

LEASE_SECONDS = 60.0
RENEW_AFTER = 15.0
WANTED_SECONDS = 5.0
SAFETY_SECONDS = 10.0
"""An owner never begins to send in the last seconds of its lease."""


def bring_back_leases(servers: QuerySet[Server]) -> None:
    """Ends leases within their LEASE_SECONDS from now that end later, because the database's clock was ahead.

    Takes nothing from a living owner: by its own clock it holds the lease no longer, unless it renews it.
    """
    latest = Now() + (timedelta(seconds=LEASE_SECONDS) + CLOCK_TOLERANCE)
    servers.filter(lease_expires__gt=latest).update(lease_expires=Now() + timedelta(seconds=LEASE_SECONDS))


class LeaseLost(Exception):
    """Another owner may insert now; it recovers what was in flight."""


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
    _marker: SentMarker | None = field(default=None, repr=False)
    _last_place: int = 0
    _previous: tuple[str, int, int | None] = ("", 0, None)
    """The owner before us: token, fence, and the place of what it sent last, if known."""

    def acquire(self) -> bool:
        """Takes the lease if it is free, expired, or its owner is dead. One conditional UPDATE: its row count says who won."""
        free = Q(lease_token="") | Q(lease_token=self.token) | Q(lease_expires__lt=Now())
        owner = self._rows().get()
        owner_died = bool(owner.lease_token) and is_dead(owner.lease_process)
        if owner_died:
            free |= Q(lease_token=owner.lease_token)
        if self.fence and owner.fence == self.fence:
            last_place: int | None = self._last_place
        else:
            last_place = last_sent(owner.lease_token) if owner_died else None
        takeover: dict[str, Any] = {}
        if owner.lease_token not in ("", self.token):
            # The owner did not release it: a concern (loader.concerns).
            name = f"process {owner.lease_pid} on {owner.lease_host}"
            takeover = {"taken_over_at": Now(), "taken_over_from": name}
        asked_at = monotonic()
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
                **takeover,
            )
        )
        if won:
            self.fence = self._rows().values_list("fence", flat=True).get()
            self._held_since(asked_at)
            self._previous = owner.lease_token, owner.fence, last_place
            self._marker = self._marker or SentMarker(self.token)
            self.sending(0)
        else:
            bring_back_leases(self._rows())
        return bool(won)

    def sending(self, place: int) -> None:
        """Marks the sample at this place of the batch as the one that is sent now."""
        self._last_place = place
        if self._marker:
            self._marker.write(place)

    def may_have_sent(self, attempt: LoadAttempt) -> bool:
        """Whether an attempt with a start time may have been sent: the previous owner may have died before.

        False only if that is certain: the previous owner ran on this machine, is dead, and its marker names what it sent last.
        """
        _, fence, last_place = self._previous
        return last_place is None or attempt.fence != fence or (attempt.batch_sample_number or 0) <= last_place

    def want(self) -> None:
        """Asks the owner to yield (loader.coordination.turn_taking)."""
        self._rows().update(wanted_at=Now())

    def is_wanted(self) -> bool:
        """Whether another loader asked for it in the last seconds."""
        return self._rows().filter(wanted_at__gt=Now() - timedelta(seconds=WANTED_SECONDS)).exists()

    def heartbeat(self) -> None:
        """Renews the lease when it is due; cheap to call often. Raises LeaseLost."""
        if monotonic() - self._renewed > RENEW_AFTER:
            self._renew()

    def ensure(self) -> None:
        """Called just before each send: the lease is ours for some more seconds, by our own clock. Raises LeaseLost."""
        if monotonic() > self._until - SAFETY_SECONDS:
            self._renew()
        if monotonic() > self._until - SAFETY_SECONDS:
            raise LeaseLost(f"Renewing the lease of {self.server} took the database too long.")

    def release(self) -> None:
        """Frees the lease at once."""
        self._mine().update(lease_token="", lease_expires=None)
        if self._marker:
            self._marker.close()
            self._marker = None
        forget(self.token)
        forget(self._previous[0])

    def owner(self) -> str:
        """A text that names the owner."""
        row = self._rows().get()
        if not row.lease_token:
            return "no process"
        return f"process {row.lease_pid} on {row.lease_host} (until {row.lease_expires:%H:%M:%S} UTC unless renewed)"

    def _renew(self) -> None:
        asked_at = monotonic()
        if not self._mine().update(**self._expiry()):
            raise LeaseLost(f"Lost the lease of {self.server} to {self.owner()}.")
        self._held_since(asked_at)

    def _held_since(self, at: float) -> None:
        self._renewed, self._until = at, at + LEASE_SECONDS

    def _expiry(self) -> dict[str, Any]:
        return {"lease_heartbeat": Now(), "lease_expires": Now() + timedelta(seconds=LEASE_SECONDS)}

    def _rows(self) -> QuerySet[Server]:
        return Server.objects.using(self.db).filter(pk=self.server.pk)

    def _mine(self) -> QuerySet[Server]:
        return self._rows().filter(lease_token=self.token, fence=self.fence)
