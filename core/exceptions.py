"""What any part of fnloader raises towards its user."""


class OperationRefused(Exception):
    """This can't be done now, or its input is wrong: nothing was changed. The text says why, and the way out."""
