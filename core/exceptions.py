"""Errors that any part of fnloader raises to its user."""

from collections.abc import Iterable


class OperationRefused(Exception):
    """The operation is not possible now, or its input is wrong: nothing changed. The text says why, and what to do; `details` has
    a line for each thing that is wrong, where there may be many."""

    def __init__(self, text: str, details: Iterable[str] = ()) -> None:
        self.text, self.details = text, tuple(details)
        super().__init__(" ".join([text, "; ".join(self.details)]).rstrip())
