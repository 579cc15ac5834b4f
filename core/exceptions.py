"""Errors that any part of fnloader raises to its user."""


class OperationRefused(Exception):
    """The operation is not possible now, or its input is wrong: nothing changed. The text says why, and what to do."""
