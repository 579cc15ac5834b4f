"""The colours of a feed's, a file's and an attempt's state, here and nowhere else; their names stand with the models."""

from __future__ import annotations

from django.db.models import TextChoices

from loader.findings import Kind
from loader.models import Outcome, Result, State


class Stands(TextChoices):
    """Where a feed stands."""

    PAUSED = "paused", "paused"
    AWAY = "server away", "server away"
    NEVER = "never checked", "never checked"
    IN_ORDER = "in order", "in order"


STANDS_COLOURS: dict[str, str] = {
    Stands.PAUSED: "red",
    Stands.AWAY: "red",
    Stands.NEVER: "grey",
    Stands.IN_ORDER: "green",
}
OUTCOME_COLOURS: dict[str, str] = {
    Outcome.OPEN: "blue",
    Outcome.INSERTED: "green",
    Outcome.PRESENT: "green",
    Outcome.FOUND: "green",
    Outcome.REJECTED: "red",
    Outcome.FAILED: "orange",
    Outcome.NOT_SENT: "grey",
}
STATE_COLOURS: dict[str, str] = {
    State.WAITING: "grey",
    State.LOADING: "blue",
    State.LOADED: "green",
    State.REJECTED: "red",
    State.GONE: "grey",
}
RESULT_COLOURS: dict[str, str] = {
    Result.INSERTED: "green",
    Result.FOUND: "green",
    Result.SAME: "green",
    Result.PRESENT: "green",
    Result.CONFLICTING: "orange",
}
FINDING_COLOURS: dict[str, str] = {
    Kind.NOT_LOADED: "grey",
    Kind.REJECTED: "orange",
    Kind.LOST: "red",
    Kind.LOST_AND_GONE: "red",
    Kind.OTHER_NAME: "grey",
    Kind.CONFLICTING: "orange",
    Kind.NOT_IN_BUCKET: "grey",
}
