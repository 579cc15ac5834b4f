"""Whether a server has stored the links of a sample: asked of the server itself, in a few calls.

What counts as proof follows from the source of findNeighbour4 (version of June 2022): `persist` of findn/cw_seqComparer.py
stores the row of a sample first, then its annotation, then adds it to the engine, and stores its links to *all* samples that the
engine holds last, in one call; `guid2neighbour_add_links` of findn/rdbmsstore.py writes them by one statement of up to 50,000
links, both directions at once. A link of two samples is only ever written by the insert of the later one. So:

- a stored link to a sample that was in before proves that the links were written;
- a sample that was in before, within the ceiling and not linked proves that they were not;
- links to samples that came later prove nothing, and neither do distances above the ceiling, unless no other sample is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from time import monotonic
from typing import TYPE_CHECKING

from loader.fn4.responses import ServerMisconfigured, ServerUnavailable

if TYPE_CHECKING:
    from loader.fn4.client import FindNeighbour4

MAX_COMPARED = 10
"""Samples whose distances are asked."""
MAX_NEIGHBOURS = 100
"""Stored links that are looked at, of the sample and of one neighbour."""
MAX_OF_NEIGHBOUR = 5
CALL_SECONDS, TOTAL_SECONDS = 5.0, 20.0
"""Time-out of one call; after the second no further one is made."""


class LinkState(Enum):
    """What is known of a sample's links."""

    WRITTEN = "written"
    MISSING = "missing"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class LinkProof:
    """The state of a sample's links, with a reason for people unless they were written."""

    state: LinkState
    reason: str = ""


@dataclass
class LinkQuestions:
    """Asks one server about the links of one sample."""

    fn4: FindNeighbour4
    guid: str
    recent: list[str]
    """Samples that were certainly in before, with their links; the latest first."""
    were_before: Callable[[list[str]], set[str]]
    """Which of some samples certainly were."""
    heartbeat: Callable[[], None] = lambda: None
    """Called before each question."""

    def ask(self) -> LinkProof:
        """Never raises an error of the server: then it stays unknown."""
        self._until = monotonic() + TOTAL_SECONDS
        try:
            return self._ask()
        except (ServerUnavailable, ServerMisconfigured) as error:
            return LinkProof(LinkState.UNKNOWN, f"the server could not say: {error}")

    def _ask(self) -> LinkProof:
        self.heartbeat()
        ceiling = self.fn4.snp_ceiling(seconds=CALL_SECONDS)
        if ceiling is None:
            return LinkProof(LinkState.UNKNOWN, "the server does not say up to which distance it stores links")
        stored = self.fn4.neighbours(self.guid, ceiling, seconds=CALL_SECONDS)
        linked = self.were_before(stored[:MAX_NEIGHBOURS])
        # The samples just before, and some neighbours of a neighbour: those are likely to be near.
        near: list[str] = []
        if stored:
            self.heartbeat()
            of_neighbour = self.fn4.neighbours(stored[0], ceiling, seconds=CALL_SECONDS)[:MAX_NEIGHBOURS]
            near = sorted(self.were_before([other for other in of_neighbour if other not in stored]))
        candidates = list(dict.fromkeys([*near[:MAX_OF_NEIGHBOUR], *self.recent[:MAX_COMPARED]]))
        compared = 0
        for other, apart in self._distances(candidates):
            compared += 1
            if apart <= ceiling and other not in stored:
                return LinkProof(
                    LinkState.MISSING,
                    f"its links are missing: {other} was there before and is {apart} SNPs away, and the server, which "
                    f"stores links up to {ceiling}, has none",
                )
            if apart <= ceiling:
                linked.add(other)
        if linked or self._is_alone(stored, ceiling):
            return LinkProof(LinkState.WRITTEN)
        return LinkProof(
            LinkState.UNKNOWN, f"none of {compared} earlier samples that were compared is within {ceiling} SNPs"
        )

    def _distances(self, others: Iterable[str]) -> Iterator[tuple[str, int]]:
        """Each with its distance; those that can't be compared are left out."""
        for other in others:
            if other == self.guid:
                continue
            if monotonic() > self._until:
                return
            self.heartbeat()
            apart = self.fn4.distance(self.guid, other, seconds=CALL_SECONDS)
            if apart is not None:
                yield other, apart

    def _is_alone(self, stored: list[str], ceiling: int) -> bool:
        """Whether the server holds so few samples that all can be compared, and none is near: there are no links to store."""
        if stored or len(self.recent) >= MAX_COMPARED:
            return False
        self.heartbeat()
        all_guids = list(islice(self.fn4.guids(), MAX_COMPARED + 2))
        if len(all_guids) > MAX_COMPARED + 1:
            return False
        distances = list(self._distances(all_guids))
        return monotonic() <= self._until and all(apart > ceiling for _, apart in distances)
